"""A denial -> what the client gets: status, headers, body.

One table decides for all (`reasons.TABLE`); here stand the two choices on top of it:

* A denial by policy is answered in the JSON-RPC way (HTTP 200 and an error), in the HTTP way (403), or, for a call of a
  tool, by a result that says no (see `tool_refusal`). `auto` gives 403 only where a step-up can help and the client
  speaks a version that knows step-up (2025-11-25 and later), and not where it would end a session: 1.x Python clients
  lose theirs by any 4xx. They are known by their user agent, which decides about nothing but this. Otherwise it gives
  the result, or where there is none the JSON-RPC error.
* `hide` answers a denied name as an unknown one, in every form. It then says neither reason nor rule. That a URI could be
  taken for a hidden one would betray it, so such a URI is unknown too.
* In a legacy session 404 means that the session is lost, and 400 ends that of some clients. So there an unknown method
  is answered with 200, and so is a malformed message whose id is known.
* A challenge names every scope that the operation needs. Clients before 2026-07-28 replace the scopes they have by
  those of the challenge, so for them it also names the scopes of their token.

Challenges are RFC 6750 section 3 and RFC 9728 section 5.1, on one line, `error_description` last: clients read the
header with simple patterns.
"""

import json
import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import urlsplit

from authz.core.decision import Decision
from authz.core.identity.session import HEADER as SESSION
from authz.core.identity.token import NOT_ASKED
from authz.core.mcp.form import BrokenRule, broken_rule
from authz.core.mcp.item import Kind
from authz.core.mcp.message import INVALID_PARAMS
from authz.core.mcp.methods import HANDSHAKE_VERSIONS, HTTP_METHODS, MODERN_VERSIONS, is_modern
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import TABLE, Group, Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, Limits
from authz.core.servers import Server
from authz.core.tool_refusal import tool_refusal

_WELL_KNOWN = "/.well-known/"
METADATA_PATH = f"{_WELL_KNOWN}oauth-protected-resource"
RETRY_AFTER = {Reason.TOO_MANY_STREAMS: "10", Reason.REWRITER_MISSING: "1"}
"""Seconds after which a client may try again."""
STEP_UP_SINCE = "2025-11-25"
"""First protocol version whose clients answer a 403 insufficient_scope challenge by asking for more scope."""
_KEEPS_ITS_SESSION = re.compile(r"python-httpx2/|\bmcp(?:-python)?(?:-sdk)?/2\.")
"""What the user agents hold of Python clients that keep their session after a 4xx: those of SDK 2.x."""


@dataclass(frozen=True, slots=True)
class DenialResponse:
    """An HTTP response.

    Attributes:
        status: HTTP status.
        headers: name and value pairs.
        body: JSON.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def render_denial(
    decision: Decision,
    server: Server | None,
    request: HttpRequest,
    decision_id: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
) -> DenialResponse:
    """Render a denial.

    Args:
        decision: a denial.
        server: the server that was addressed, None when none was.
        request: the request, for the metadata URL of a server without a fixed resource.
        decision_id: names the decision in records; given to the client so that it can be looked up.
        limits: the bounds by which the message was read, for the rule of form that it breaks.
    """
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    if decision.reason in RETRY_AFTER:
        headers.append(("retry-after", RETRY_AFTER[decision.reason]))
    challenge = _challenge(decision, server, request)
    if challenge:
        headers.append(("www-authenticate", challenge))
    if decision.reason is Reason.METHOD_NOT_ALLOWED:
        headers.append(("allow", _ALLOW))
    body = json.dumps(
        _body(decision, request, decision_id, limits), ensure_ascii=False, separators=(",", ":")
    )
    return DenialResponse(_status(decision, request), tuple(headers), body.encode())


_ALLOW = ", ".join(("POST", *HTTP_METHODS))


def _status(decision: Decision, request: HttpRequest) -> int:
    row = TABLE[decision.reason]
    if _is_by_rules(decision):
        # Not its own status: a hidden URI would differ from an unknown one by it.
        status = row.status if row.group is Group.POLICY else TABLE[Reason.NO_RULE].status
        return status if _style(decision, request) is DenialStyle.HTTP else 200
    if decision.reason is Reason.UNKNOWN_ENDPOINT and request.path.startswith(_WELL_KNOWN):
        return 404  # what a client that looks for metadata must get to look elsewhere
    return 200 if _keeps_session(decision, request) else row.status


def _style(decision: Decision, request: HttpRequest) -> DenialStyle:
    """Return the form of a denial by policy: never `AUTO`, and `RESULT` only where the request is answered by one."""
    style = decision.denial
    if style is DenialStyle.AUTO:
        known = decision.version >= STEP_UP_SINCE and not _ends_session(request)
        style = DenialStyle.HTTP if known and _step_up(decision) else DenialStyle.RESULT
    return DenialStyle.JSONRPC if style is DenialStyle.RESULT and not decision.as_result else style


_MALFORMED = frozenset({Reason.BAD_JSON, Reason.BAD_MESSAGE})


def _keeps_session(decision: Decision, request: HttpRequest) -> bool:
    """Return whether a flaw of the message is answered with 200, because its status would end a legacy session."""
    if is_modern(decision.version):
        return False
    if decision.reason is Reason.UNKNOWN_METHOD:
        return True
    return decision.reason in _MALFORMED and decision.request_id is not None and SESSION in request.headers


def _ends_session(request: HttpRequest) -> bool:
    """Return whether the client has a session that a 4xx would end, as far as its user agent tells."""
    agent = request.headers.get("user-agent", "").lower()
    return SESSION in request.headers and "python" in agent and not _KEEPS_ITS_SESSION.search(agent)


def _step_up(decision: Decision) -> bool:
    return decision.reason is Reason.MISSING_SCOPE and not decision.hide


def _is_by_rules(decision: Decision) -> bool:
    """Return whether a denial is answered as one by the rules: a URI that is hidden by them is, too."""
    hidden = decision.hide and decision.reason is Reason.AMBIGUOUS_URI and decision.item is not None
    return hidden or TABLE[decision.reason].group is Group.POLICY


_UNKNOWN_NAMES = {
    Kind.TOOL: "Unknown tool: {}",
    Kind.PROMPT: "Unknown prompt: {}",
    Kind.RESOURCE: "Resource not found: {}",
    Kind.TASK: "Task not found: {}",
}


_VERSION_CHARS = 64
"""How much of a version that is not known is given back; the sender chose it."""


def _body(decision: Decision, request: HttpRequest, decision_id: str, limits: Limits) -> dict[str, Any]:
    item, by_rules = decision.item, _is_by_rules(decision)
    hidden = (
        _UNKNOWN_NAMES[item.kind].format(item.name) if decision.hide and by_rules and item is not None else ""
    )
    answer: dict[str, Any] = {"jsonrpc": "2.0", "id": decision.request_id}
    if by_rules and _style(decision, request) is DenialStyle.RESULT:
        return answer | {"result": tool_refusal(decision, decision_id, hidden)}
    if hidden:
        return answer | {"error": {"code": INVALID_PARAMS, "message": hidden}}
    # Before somebody is known to ask, nothing is read a second time.
    broken = None if decision.caller is None else broken_rule(request, decision.reason, limits)
    return answer | {"error": _error(decision, decision_id, broken)}


def _error(decision: Decision, decision_id: str, broken: BrokenRule | None) -> dict[str, Any]:
    row = TABLE[decision.reason]
    message = NOT_ASKED if decision.rejection is not None and decision.rejection.question else row.text
    data: dict[str, Any] = {"reason": str(decision.reason), "decision_id": decision_id}
    if decision.rule:
        data["rule"] = decision.rule
    if decision.reason is Reason.UNSUPPORTED_VERSION:
        message = f"{message}; known are {_KNOWN_VERSIONS}"
        data |= {"supported": list(MODERN_VERSIONS), "requested": decision.version[:_VERSION_CHARS]}
    if broken is not None:
        message = f"{message}: {broken.pointer or 'the message'}: {broken.text}"
        data |= {"form": broken.text, "pointer": broken.pointer}
    if decision.misfit is not None:
        message = f"{message}: {decision.misfit}"
        data |= {"argument": decision.misfit.place, "keyword": decision.misfit.keyword}
    code = row.code if decision.code is None else decision.code
    return {"code": code, "message": message, "data": data}


_KNOWN_VERSIONS = ", ".join((*sorted(HANDSHAKE_VERSIONS), *MODERN_VERSIONS))
"""What a person reads; `supported` is for programs, which choose from it a version without a handshake."""


def _challenge(decision: Decision, server: Server | None, request: HttpRequest) -> str:
    row = TABLE[decision.reason]
    if server is None:
        return ""
    metadata = metadata_url(server, request.scheme, request.host)
    scopes = server.to_request(_scopes_to_request(decision), _issuer(decision))
    scope = f'scope="{" ".join(scopes)}"' if scopes else ""
    if row.group is Group.TOKEN:
        error = "" if decision.reason is Reason.MISSING_TOKEN else 'error="invalid_token"'
        description = (
            f'error_description="{row.text if decision.rejection is None else decision.rejection.detail}"'
            if error
            else ""
        )
        return _bearer(error, f'resource_metadata="{metadata}"', scope, description)
    if _step_up(decision) and _style(decision, request) is DenialStyle.HTTP:
        return _bearer('error="insufficient_scope"', scope, f'resource_metadata="{metadata}"', "")
    return ""


def challenge_in_its_place(server: Server, status: int) -> str:
    """Return the gateway's challenge for a server that challenged the caller's token with a 401 or 403.

    The request is not known any more. Where the server's URL follows from it, the metadata is not named, and a client looks
    for it at the URL that it asked.
    """
    metadata = f'resource_metadata="{metadata_url(server, "", "")}"' if server.resource else ""
    scope = f'scope="{" ".join(server.to_request(server.scopes))}"' if server.scopes else ""
    return _bearer(f'error="{"insufficient_scope" if status == 403 else "invalid_token"}"', scope, metadata)


_OFFLINE_ACCESS = "offline_access"
"""The scope that requests a refresh token: a challenge must not name it, clients add it (SEP-2207)."""


def _scopes_to_request(decision: Decision) -> tuple[str, ...]:
    """Return the scopes that a challenge names: the operation's, and for older clients those that their token has."""
    if decision.principal is None or is_modern(decision.version):
        return decision.scopes
    named = {*decision.scopes, _OFFLINE_ACCESS}
    return (*decision.scopes, *(scope for scope in decision.principal.scopes if scope not in named))


def _issuer(decision: Decision) -> str:
    """Return the issuer whose token was sent, as far as it is known."""
    if decision.principal is not None:
        return decision.principal.issuer
    return "" if decision.rejection is None else decision.rejection.issuer


def _bearer(*parameters: str) -> str:
    return "Bearer " + ", ".join(parameter for parameter in parameters if parameter)


def resource_url(server: Server, scheme: str, host: str) -> str:
    """Return the server's public URL; where the configuration fixes none it follows from how it was reached."""
    named = server.resources.get(host.lower()) or server.resource
    return named or f"{scheme if scheme in _SCHEMES else 'https'}://{_safe_host(host)}{server.path}"


_SCHEMES = frozenset({"http", "https"})


def _safe_host(host: str) -> str:
    """Return an authority that cannot break out of a quoted header value or a URL."""
    found = _AUTHORITY.fullmatch(host)
    if found is None:
        return "invalid"
    return host if found[1] is None or _is_ipv6(found[1]) else "invalid"


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[([0-9A-Fa-f:.]{2,45})\])(?::[0-9]{1,5})?")


def metadata_url(server: Server, scheme: str, host: str) -> str:
    """Return the URL of the server's metadata document (RFC 9728 section 3.1)."""
    parts = urlsplit(resource_url(server, scheme, host))
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{'' if parts.path == '/' else parts.path}"

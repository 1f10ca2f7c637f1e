"""A denial -> what the client gets: status, headers, body.

One table decides for all (`reasons.TABLE`); here stand the two choices on top of it:

* A denial by policy is answered in the JSON-RPC way (HTTP 200 and an error) or the HTTP way (403). `auto` gives 403 only
  where a step-up can help and the client speaks a version that knows step-up (2025-11-25 and later), and not where it
  would end a session: 1.x Python clients lose theirs by any 4xx. They are known by their HTTP library, which decides
  about nothing but this.
* `hide` answers a denied name as an unknown one. It then says neither reason nor rule.

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
from authz.core.mcp.item import Kind
from authz.core.mcp.message import INVALID_PARAMS
from authz.core.mcp.methods import MODERN_VERSIONS
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import TABLE, Group, Reason
from authz.core.request import HttpRequest
from authz.core.servers import Server

METADATA_PATH = "/.well-known/oauth-protected-resource"
RETRY_AFTER = "10"
"""Seconds after which a client may try again to open a stream."""
STEP_UP_SINCE = "2025-11-25"
"""First protocol version whose clients answer a 403 insufficient_scope challenge by asking for more scope."""
_SESSION_ENDS_WITH_4XX = ("python-httpx/",)
"""How the user agents begin of clients that give up their session for any 4xx."""


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
    decision: Decision, server: Server | None, request: HttpRequest, decision_id: str
) -> DenialResponse:
    """Render a denial.

    Args:
        decision: a denial.
        server: the server that was addressed, None when none was.
        request: the request, for the metadata URL of a server without a fixed resource.
        decision_id: names the decision in records; given to the client so that it can be looked up.
    """
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    if decision.reason is Reason.TOO_MANY_STREAMS:
        headers.append(("retry-after", RETRY_AFTER))
    challenge = _challenge(decision, server, request)
    if challenge:
        headers.append(("www-authenticate", challenge))
    body = json.dumps(_body(decision, decision_id), ensure_ascii=False, separators=(",", ":"))
    return DenialResponse(_status(decision, request), tuple(headers), body.encode())


def _status(decision: Decision, request: HttpRequest) -> int:
    row = TABLE[decision.reason]
    if row.group is not Group.POLICY:
        return row.status
    if decision.denial is DenialStyle.AUTO:
        known = decision.version >= STEP_UP_SINCE and not _ends_session(request)
        return row.status if _step_up(decision) and known else 200
    return row.status if decision.denial is DenialStyle.HTTP else 200


def _ends_session(request: HttpRequest) -> bool:
    """Return whether the client has a session that a 4xx would end."""
    agent = request.headers.get("user-agent", "")
    return SESSION in request.headers and agent.startswith(_SESSION_ENDS_WITH_4XX)


def _step_up(decision: Decision) -> bool:
    return decision.reason is Reason.MISSING_SCOPE and not decision.hide


_UNKNOWN_NAMES = {
    Kind.TOOL: "Unknown tool: {}",
    Kind.PROMPT: "Unknown prompt: {}",
    Kind.RESOURCE: "Resource not found: {}",
    Kind.TASK: "Task not found: {}",
}


_VERSION_CHARS = 64
"""How much of a version that is not known is given back; the sender chose it."""


def _body(decision: Decision, decision_id: str) -> dict[str, Any]:
    row = TABLE[decision.reason]
    item = decision.item
    if decision.hide and row.group is Group.POLICY and item is not None:
        error: dict[str, Any] = {
            "code": INVALID_PARAMS,
            "message": _UNKNOWN_NAMES[item.kind].format(item.name),
        }
    else:
        data: dict[str, Any] = {"reason": str(decision.reason), "decision_id": decision_id}
        if decision.rule:
            data["rule"] = decision.rule
        if decision.reason is Reason.UNSUPPORTED_VERSION:
            data |= {"supported": list(MODERN_VERSIONS), "requested": decision.version[:_VERSION_CHARS]}
        error = {
            "code": row.code if decision.code is None else decision.code,
            "message": row.text,
            "data": data,
        }
    return {"jsonrpc": "2.0", "id": decision.request_id, "error": error}


def _challenge(decision: Decision, server: Server | None, request: HttpRequest) -> str:
    row = TABLE[decision.reason]
    if server is None:
        return ""
    metadata = metadata_url(server, request.scheme, request.host)
    scope = f'scope="{" ".join(decision.scopes)}"' if decision.scopes else ""
    if row.group is Group.TOKEN:
        error = "" if decision.reason is Reason.MISSING_TOKEN else 'error="invalid_token"'
        description = (
            f'error_description="{row.text if decision.rejection is None else decision.rejection.detail}"'
            if error
            else ""
        )
        return _bearer(error, f'resource_metadata="{metadata}"', scope, description)
    if _step_up(decision) and _status(decision, request) == row.status:
        return _bearer('error="insufficient_scope"', scope, f'resource_metadata="{metadata}"', "")
    return ""


def _bearer(*parameters: str) -> str:
    return "Bearer " + ", ".join(parameter for parameter in parameters if parameter)


def resource_url(server: Server, scheme: str, host: str) -> str:
    """Return the server's public URL; where the configuration fixes none it follows from how it was reached."""
    return server.resource or f"{scheme if scheme in _SCHEMES else 'https'}://{_safe_host(host)}{server.path}"


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

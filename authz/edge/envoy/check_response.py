"""Decisions -> CheckResponses, as bytes.

Protobuf reads messages that stand one behind the other as their sum. So an allow is put together from three parts: what is
about the caller, built once and kept with the caller; what is about the call, kept for the calls that were met last; and
the decision's id, with what a session needs. What it costs grows neither with the callers nor with the tools. Of a header in an answer Envoy reads `value` only; one set through `raw_value` would arrive empty.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from google.rpc import code_pb2

from authz.core.decision import Decision
from authz.core.denial import DenialResponse
from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.item import Item
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.servers import Server
from authz.edge.telemetry.decision_record import ITEM_KEYS, clip

IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")
ID_CHARS = 16
"""Length of a decision's id."""

_pb: Any = external_auth_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_OVERWRITE_ONLY: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS
_PERMISSION_DENIED: Any = code_pb2.PERMISSION_DENIED
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_PLAIN = re.compile(r"[ -$&-~]*").fullmatch
"""Whether a text is nothing but `_PRINTABLE`."""
_OURS = "x-mcp-"
_SPELLED = re.compile(r"^mcp(?!-session-id$)[-_.]session[-_.]id$", re.MULTILINE)
"""Every spelling of the session id's header but its own."""
_REMEMBERED = 16_384
"""Of so many calls (method, rule, item) the part of the answer is kept that is about them."""
_REMEMBERED_CHARS = 256


def allow(decision: Decision, request: HttpRequest, server: Server, policy: str, decision_id: str) -> bytes:
    """Answer an allowed request: identity headers set, every other spelling of them removed, the token too.

    Args:
        decision: an allow, so it has a caller.
        request: the request, for the identity headers that a client sent.
        server: the server; says whether the token goes upstream.
        policy: digest of the policy that decided.
        decision_id: `ID_CHARS` characters.
    """
    caller, names = decision.caller, "\n".join(request.headers)
    told = _told(decision.method, decision.rule, decision.item)
    own = told + _id(decision_id)
    if decision.session is not None:
        # One that is taken off was not judged, nor is it kept.
        sent = request.headers[SESSION] if decision.session else ""
        own += _session(decision.session, sent, rewrite=decision.rewrite)
    if caller is None or _may_be_ours(names):
        spellings = [name for name in request.headers if _is_ours(name)]
        return _allow(decision, spellings, server, policy) + own
    key = ("answer", decision.rewrite)
    answer = caller.kept.get(key)
    if answer is None:
        answer = caller.kept[key] = _allow(decision, [], server, policy)
    return answer + own


def _may_be_ours(names: str) -> bool:
    """Tell whether among header names, one a line, can be one that only the gateway sets (`_is_ours`)."""
    identity = "x-mcp" in names or "x_mcp" in names or "x.mcp" in names
    return identity or ("session" in names and _SPELLED.search(names) is not None)


@lru_cache(maxsize=1024)
def _session(session: str, sent: str, *, rewrite: bool) -> bytes:
    """Put the server's session id in the place of the caller's, and keep it from the caller in the response.

    A server may repeat its id in any response of a session; one that passes the rewriter is bound there.
    """
    response = _pb.CheckResponse()
    ok = response.ok_response
    if not session:
        ok.headers_to_remove.append(SESSION)
        return bytes(response.SerializeToString())
    _set(ok.headers, ((SESSION, session),))
    if not rewrite:
        option = ok.response_headers_to_add.add(append_action=_OVERWRITE_ONLY)
        option.header.key, option.header.value = SESSION, sent
    return bytes(response.SerializeToString())


def deny(decision: Decision, answer: DenialResponse, policy: str, decision_id: str) -> bytes:
    """Answer a denied request as `core.denial` rendered it."""
    response = _pb.CheckResponse()
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = answer.status
    denied.body = answer.body.decode()
    _set(denied.headers, answer.headers)
    _describe(response, "deny", decision.reason, decision.server, policy, rewrite=False)
    _say(response, _who(decision))
    told = _told(decision.method, decision.rule, decision.item)
    return bytes(response.SerializeToString()) + told + _id(decision_id)


def metadata(key: str, text: str) -> bytes:
    """Give what adds one text to the dynamic metadata of an answer it is appended to."""
    response = _pb.CheckResponse()
    response.dynamic_metadata.fields[key].string_value = text
    return bytes(response.SerializeToString())


_ID = metadata("decision_id", "." * ID_CHARS)[:-ID_CHARS]


def _id(decision_id: str) -> bytes:
    return _ID + decision_id.encode("ascii")


def _told(method: str, rule: str, item: Item | None) -> bytes:
    """Give what adds to the dynamic metadata of an answer what was called, and by which rule it was decided."""
    call = (method, rule, item)
    told = _TOLD.get(call)
    if told is None:
        told = _call(*call)
        if len(method) + (0 if item is None else len(item.name)) <= _REMEMBERED_CHARS:
            if len(_TOLD) >= _REMEMBERED:
                del _TOLD[next(iter(_TOLD))]
            _TOLD[call] = told
    return told


_TOLD: dict[tuple[str, str, Item | None], bytes] = {}


def _call(method: str, rule: str, item: Item | None) -> bytes:
    response = _pb.CheckResponse()
    said = {"rule": rule, "method": clip(method)}
    if item is not None:
        said[ITEM_KEYS[item.kind]] = clip(item.name)
    _say(response, said)
    return bytes(response.SerializeToString())


def _allow(decision: Decision, spellings: list[str], server: Server, policy: str) -> bytes:
    response = _pb.CheckResponse()
    ok = response.ok_response
    given = _identity(decision)
    _set(ok.headers, tuple(given.items()))
    removed = [name for name in spellings if name not in IDENTITY_HEADERS]
    removed.extend(name for name in IDENTITY_HEADERS if name not in given)
    ok.headers_to_remove.extend(removed)
    _say(response, _who(decision))
    return bytes(response.SerializeToString()) + _ok(
        server.name, policy, forward_token=server.forward_token, rewrite=decision.rewrite
    )


@lru_cache(maxsize=1024)
def _ok(server: str, policy: str, *, forward_token: bool, rewrite: bool) -> bytes:
    """Give what every allow at a server has."""
    response = _pb.CheckResponse()
    response.status.code = 0
    ok = response.ok_response
    if not forward_token:
        ok.headers_to_remove.append("authorization")
    if rewrite:
        ok.headers_to_remove.append("accept-encoding")  # a list must come back readable
    _describe(response, "allow", Reason.ALLOWED, server, policy, rewrite=rewrite)
    return bytes(response.SerializeToString())


def _set(headers: Any, pairs: tuple[tuple[str, str], ...]) -> None:
    for name, value in pairs:
        option = headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value


def _identity(decision: Decision) -> dict[str, str]:
    principal = decision.principal
    if principal is None:
        return {}
    values = (principal.subject, principal.client, " ".join(principal.scopes), principal.issuer)
    return {
        name: value if _PLAIN(value) else quote(value, safe=_PRINTABLE)
        for name, value in zip(IDENTITY_HEADERS, values, strict=True)
        if value
    }


def _is_ours(name: str) -> bool:
    """Tell whether a header is, in some spelling that a server may read so, one of those that only the gateway sets.

    The identity headers begin with `x-mcp`, `x_mcp` or `x.mcp`, which `allow` looks for first, in all names at once. The
    session id in its own spelling is not among them: it was judged, and is overwritten.
    """
    dashed = name.replace("_", "-").replace(".", "-")
    return dashed.startswith(_OURS) or (dashed == SESSION and name != SESSION)


def _who(decision: Decision) -> Mapping[str, str]:
    principal = decision.principal
    return {} if principal is None else {"sub": clip(principal.subject), "client": clip(principal.client)}


def _describe(
    response: Any, verdict: str, reason: Reason, server: str, policy: str, *, rewrite: bool
) -> None:
    """Leave a decision in dynamic metadata."""
    _say(response, {"decision": verdict, "reason": reason.value, "server": server, "policy": policy})
    response.dynamic_metadata.fields["rewrite"].bool_value = rewrite


def _say(response: Any, said: Mapping[str, str]) -> None:
    """Leave texts in dynamic metadata, for access logs, rate limits and the rewriter's matcher."""
    fields = response.dynamic_metadata.fields
    for name, value in said.items():
        if value:
            fields[name].string_value = value

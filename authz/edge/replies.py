"""Decisions -> CheckResponses, as bytes.

Requests that share a decision are answered alike but for the decision's id. So the answer is built once, kept with the
decision, and the id is appended: protobuf reads two messages, one behind the other, as their sum. Of a header in an answer Envoy reads `value` only; one set through `raw_value` would arrive empty.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from google.rpc import code_pb2

from authz.core.answer import Answer
from authz.core.decision import Decision
from authz.core.request import HttpRequest
from authz.core.server import Server
from authz.edge.record import ITEM_KEYS, clip, verdict

IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")
ID_CHARS = 16
"""Length of a decision's id."""

_pb: Any = external_auth_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_PERMISSION_DENIED: Any = code_pb2.PERMISSION_DENIED
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_OURS = "x-mcp-"
_ANSWER = "answer"
_BEGINNINGS = ("x-mcp", "x_mcp", "x.mcp")
"""How every spelling of an identity header begins, and hardly any other header's name."""


def allow(decision: Decision, request: HttpRequest, server: Server, policy: str, decision_id: str) -> bytes:
    """Answer an allowed request: identity headers set, every other spelling of them removed, the token too.

    Args:
        decision: an allow, so it has a caller.
        request: the request, for the identity headers that a client sent.
        server: the server; says whether the token goes upstream.
        policy: digest of the policy that decided.
        decision_id: `ID_CHARS` characters.
    """
    kept, names = decision.kept, "\n".join(request.headers)
    if kept is None or "x-mcp" in names or "x_mcp" in names or "x.mcp" in names:
        spellings = [name for name in request.headers if _is_identity(name)]
        return _allow(decision, spellings, server, policy) + _id(decision_id)
    answer: bytes | None = kept.get(_ANSWER)
    if answer is None:
        answer = kept[_ANSWER] = _allow(decision, [], server, policy)
    return answer + _id(decision_id)


def deny(decision: Decision, answer: Answer, policy: str, decision_id: str) -> bytes:
    """Answer a denied request as `core.answer` rendered it."""
    response = _pb.CheckResponse()
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = answer.status
    denied.body = answer.body.decode()
    _set(denied.headers, answer.headers)
    _describe(response, decision, policy)
    return bytes(response.SerializeToString()) + _id(decision_id)


def metadata(key: str, text: str) -> bytes:
    """Give what adds one text to the dynamic metadata of an answer it is appended to."""
    response = _pb.CheckResponse()
    response.dynamic_metadata.fields[key].string_value = text
    return bytes(response.SerializeToString())


_ID = metadata("decision_id", "." * ID_CHARS)[:-ID_CHARS]


def _id(decision_id: str) -> bytes:
    return _ID + decision_id.encode("ascii")


def _allow(decision: Decision, spellings: list[str], server: Server, policy: str) -> bytes:
    response = _pb.CheckResponse()
    response.status.code = 0
    ok = response.ok_response
    given = _identity(decision)
    _set(ok.headers, tuple(given.items()))
    ok.headers_to_remove.extend(name for name in spellings if name not in IDENTITY_HEADERS)
    ok.headers_to_remove.extend(name for name in IDENTITY_HEADERS if name not in given)
    if not server.forward_token:
        ok.headers_to_remove.append("authorization")
    if decision.rewrite:
        ok.headers_to_remove.append("accept-encoding")  # a list must come back readable
    _describe(response, decision, policy)
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
        name: quote(value, safe=_PRINTABLE)
        for name, value in zip(IDENTITY_HEADERS, values, strict=True)
        if value
    }


def _is_identity(name: str) -> bool:
    """Tell whether a header is, in some spelling that a server may read so, one of those that only the gateway sets."""
    return name.replace("_", "-").replace(".", "-").startswith(_OURS)


def _describe(response: Any, decision: Decision, policy: str) -> None:
    """Leave the decision in dynamic metadata, for access logs, rate limits and the rewriter's matcher."""
    fields = response.dynamic_metadata.fields
    for name, value in _said(decision, policy).items():
        if value:
            fields[name].string_value = value
    fields["rewrite"].bool_value = decision.rewrite


def _said(decision: Decision, policy: str) -> Mapping[str, str]:
    principal, item = decision.principal, decision.item
    return {
        "decision": verdict(decision),
        "reason": decision.reason.value,
        "rule": decision.rule,
        "method": clip(decision.method),
        "server": decision.server,
        "policy": policy,
        "sub": "" if principal is None else clip(principal.subject),
        "client": "" if principal is None else clip(principal.client),
        **({} if item is None else {ITEM_KEYS[item.kind]: clip(item.name)}),
    }

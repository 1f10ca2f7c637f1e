"""Decisions -> CheckResponses, as bytes.

Protobuf reads messages that stand one behind the other as their sum. So an allow is put together from parts, each a
CheckResponse of its own that says one thing: who calls, at which server, what is called, and so on. What stays the same
from call to call is serialized once and cached; the cost of an allow does not depend on the number of callers or tools.

Of a header in a response Envoy reads `value` only; one set through `raw_value` would arrive empty.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2

from authz.core.decision import Decision, clip
from authz.core.identity.principal import Caller, Principal
from authz.core.identity.session import ABSENT, Absent, Remove, Replace, SessionHeader
from authz.core.identity.session import HEADER as SESSION
from authz.core.mcp.item import Item
from authz.core.mcp.methods import METHODS, STREAMS
from authz.core.policy.policy import VisibilityInputs
from authz.core.reasons import Reason
from authz.core.request import HttpRequest, RequestId
from authz.core.response.caller_metadata import (
    KEY,
    LISTENER,
    LISTS,
    POOL,
    REQUEST_ID,
    STREAMS_POOL,
    SUBJECT,
    encode_caller,
    read_of,
)
from authz.core.servers import Server
from authz.core.transport import IDENTITY_HEADERS, LAST_EVENT_ID
from authz.core.wire.bounded_cache import BoundedCache

ID_CHARS = 16
"""Length of a decision's id."""

LONGEST_PREBUILT = 96
"""Bytes of the longest text that is put into a prebuilt message."""

_ENCODE_ID = msgspec.json.Encoder().encode
_pb: Any = external_auth_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_OVERWRITE_ONLY: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS


class Prebuilt:
    """Makes a message from its one text, which is not empty: around texts of one length the same bytes stand."""

    __slots__ = ("_around", "_build")

    def __init__(self, build: Callable[[str], bytes]) -> None:
        """Build with `build`, once for each length up to `LONGEST_PREBUILT`."""
        self._build = build
        self._around: dict[int, tuple[bytes, bytes]] = {}

    def __call__(self, text: str) -> bytes:
        """Return the message with this text."""
        data = text.encode()
        size = len(data)
        if size > LONGEST_PREBUILT:
            return self._build(text)
        before, behind = self._around.get(size) or self._around.setdefault(size, self._find(size))
        return before + data + behind

    def _find(self, size: int) -> tuple[bytes, bytes]:
        """Return what stands around a text of `size` bytes: where two messages with such texts do not differ."""
        one, other = self._build("a" * size), self._build("b" * size)
        start = next(at for at in range(len(one)) if one[at] != other[at])
        return one[:start], one[start + size :]


def allow(decision: Decision, request: HttpRequest, server: Server, policy: str, decision_id: str) -> bytes:
    """Return the response to an allowed request.

    Identity headers are set, and every other spelling of them that the client sent is removed, the token too.

    Args:
        decision: an allow.
        request: the request, for what rules read of it.
        server: the server; says whether the token goes upstream.
        policy: digest of the policy that decided.
        decision_id: `ID_CHARS` characters.

    Raises:
        ValueError: the decision has no caller, so it is no allow; or its id has another length.
    """
    caller = decision.caller
    if caller is None or not decision.allowed:
        msg = "only an allow has a caller to let through"
        raise ValueError(msg)
    rewrite = decision.rewrite
    parts = [
        _caller_part(caller, decision.headers.removed),
        _server_part(server, policy, rewrite=rewrite),
        call_part(decision.method, decision.rule, decision.item),
        id_part(decision_id),
        _session_part(decision.session, caller, rewrite=rewrite),
    ]
    if decision.event is not ABSENT:
        parts.append(_event_part(decision.event))
    if rewrite:
        parts.append(_context_part(decision, caller, request, server))
    if decision.request_id is not None:
        parts.append(_request_id_part(decision.request_id))
    if decision.headers.replaced:
        parts.append(_judged_part(decision.headers.replaced))
    return b"".join(parts)


def _caller_part(caller: Caller, spoofed: Sequence[str]) -> bytes:
    """Return the part about the caller: identity headers, and `sub` and `client` for access logs."""
    if spoofed:
        return _identity(caller.principal, spoofed)
    replies = caller.cache.replies
    return replies.get("identity") or replies.put("identity", _identity(caller.principal, ()))


def _identity(principal: Principal, spoofed: Sequence[str]) -> bytes:
    values = (principal.subject, principal.client, " ".join(principal.scopes), principal.issuer)
    parts = [part(_quote(value)) for part, value in zip(_IDENTITY, values, strict=True) if value]
    # A header that is set overwrites what the client sent; one that is not set must be taken away.
    absent = [name for name, value in zip(IDENTITY_HEADERS, values, strict=True) if not value]
    if absent or spoofed:
        parts.append(_removal((*spoofed, *absent)))
    return b"".join((*parts, principal_part(principal)))


def principal_part(principal: Principal) -> bytes:
    """Return the part that leaves who called in dynamic metadata, for access logs and the rewriter."""
    texts = (principal.subject, principal.client)
    return b"".join(part(clip(text)) for part, text in zip(_WHO, texts, strict=True) if text)


def _removal(names: Sequence[str]) -> bytes:
    response = _pb.CheckResponse()
    response.ok_response.headers_to_remove.extend(names)
    return serialize(response)


_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_is_printable = re.compile(r"[ -$&-~]*").fullmatch


def _quote(value: str) -> str:
    return value if _is_printable(value) else quote(value, safe=_PRINTABLE)


_SERVER_PARTS: BoundedCache[tuple[str, str, bool, bool], bytes] = BoundedCache(1024)
"""Parts by server and policy, which the configuration names."""


def _server_part(server: Server, policy: str, *, rewrite: bool) -> bytes:
    """Return the part that every allow at a server has."""
    key = (server.name, policy, server.forward_token, rewrite)
    return _SERVER_PARTS.get(key) or _SERVER_PARTS.put(key, _server(*key))


def _server(server: str, policy: str, forward_token: bool, rewrite: bool) -> bytes:
    response = _pb.CheckResponse()
    response.status.code = 0
    ok = response.ok_response
    if not forward_token:
        ok.headers_to_remove.append("authorization")
    if rewrite:
        ok.headers_to_remove.append("accept-encoding")  # a list must come back readable
    describe(response, "allow", Reason.ALLOWED, server, policy, rewrite=rewrite)
    return serialize(response)


_CALL_PARTS: BoundedCache[tuple[str, str, Item | None], bytes] = BoundedCache(16_384)
"""Parts by method, rule and item. Only authenticated callers choose these: a rejected token names none of them."""
_CACHED_CHARS = 256


def call_part(method: str, rule: str, item: Item | None) -> bytes:
    """Return the part about what was called, and the rule that decided."""
    key = (method, rule, item)
    part = _CALL_PARTS.get(key)
    if part is None:
        part = _call(method, rule, item)
        if len(method) + (0 if item is None else len(item.name)) <= _CACHED_CHARS:
            _CALL_PARTS.put(key, part)
    return part


def _call(method: str, rule: str, item: Item | None) -> bytes:
    response = _pb.CheckResponse()
    texts = {"rule": rule, "method": clip(method)}
    if item is not None:
        texts[item.kind.value] = clip(item.name)
    _set_metadata(response, texts)
    return serialize(response)


def _session_part(session: SessionHeader, caller: Caller, *, rewrite: bool) -> bytes:
    """Return the part that puts the server's session id in the place of the caller's, and keeps it from the caller.

    A server may write an id in any response; the rewriter binds it in the responses that pass through it. In another
    response the caller's own id takes its place, or nothing where he sent none: ext_authz can remove no header of a
    response, and clients take an empty id for none.
    """
    if not isinstance(session, Replace):
        return _OTHER_SESSIONS[isinstance(session, Remove), rewrite]
    known = caller.cache.replies
    part = known.get((session, rewrite))
    if part is None:
        part = _replaced(session, rewrite=rewrite)
        if len(part) <= _LONGEST_SESSION:
            known.put((session, rewrite), part)
    return part


_LONGEST_SESSION = 512
"""Bytes of the longest part about a session that is kept for a caller."""


def _replaced(session: Replace, *, rewrite: bool) -> bytes:
    response = _pb.CheckResponse()
    ok = response.ok_response
    set_headers(ok.headers, ((SESSION, session.server_id),))
    if not rewrite:
        _hide_session(ok, session.client_id)
    return serialize(response)


def _hide_session(ok: Any, shown: str) -> None:
    option = ok.response_headers_to_add.add(append_action=_OVERWRITE_ONLY, keep_empty_value=True)
    option.header.key, option.header.value = SESSION, shown


def _without_session(*, remove: bool, rewrite: bool) -> bytes:
    response = _pb.CheckResponse()
    if remove:
        response.ok_response.headers_to_remove.append(SESSION)
    if not rewrite:
        _hide_session(response.ok_response, "")
    return serialize(response)


def _event_part(event: SessionHeader) -> bytes:
    """Return the part that puts the server's event id in the place of the caller's."""
    if isinstance(event, Absent):
        return b""
    response = _pb.CheckResponse()
    ok = response.ok_response
    if isinstance(event, Remove):
        ok.headers_to_remove.append(LAST_EVENT_ID)
    else:
        set_headers(ok.headers, ((LAST_EVENT_ID, event.server_id),))
    return serialize(response)


def _judged_part(values: Mapping[str, str]) -> bytes:
    """Return the part that sends values on as they were judged, where Envoy may hold other bytes than it showed."""
    return b"".join(_header_part(*pair) for pair in values.items())


def _header_part(name: str, value: str) -> bytes:
    """Return the part that sets one header upstream."""
    response = _pb.CheckResponse()
    set_headers(response.ok_response.headers, ((name, value),))
    return serialize(response)


def _context_part(decision: Decision, caller: Caller, request: HttpRequest, server: Server) -> bytes:
    """Return the part that the rewriter reads."""
    return (
        _POOLS.get(decision.method, b"")
        + _listener_part(request.listener())
        + _reader_part(caller, request, server.policy.visibility_inputs)
    )


_LONGEST_READER = 4096
"""Bytes of the longest part about a reader that is kept for a caller: one of them, the last."""


def _reader_part(caller: Caller, request: HttpRequest, inputs: VisibilityInputs) -> bytes:
    """Return the part that says who reads."""
    read = read_of(request, inputs)
    if read is None:
        return _text_part(KEY, encode_caller(caller, request, inputs))
    known, part = caller.cache.reader
    if known != (read, inputs):
        part = _text_part(KEY, encode_caller(caller, request, inputs))
        if len(part) <= _LONGEST_READER:
            caller.cache.reader = ((read, inputs), part)
    return part


_LISTENERS: BoundedCache[str, bytes] = BoundedCache(256)


def _listener_part(listener: str) -> bytes:
    """Return the part that tells the rewriter which Envoy asked for it."""
    return _LISTENERS.get(listener) or _LISTENERS.put(listener, _text_part(LISTENER, listener))


def serialize(response: Any) -> bytes:
    """Return a message as bytes."""
    return bytes(response.SerializeToString())


_OTHER_SESSIONS = {
    (remove, rewrite): _without_session(remove=remove, rewrite=rewrite)
    for remove in (False, True)
    for rewrite in (False, True)
}
"""Parts for requests that go upstream without a session id, by whether one is removed and the response rewritten."""


def _text_part(key: str, text: str) -> bytes:
    """Return the part that adds one text to the dynamic metadata."""
    response = _pb.CheckResponse()
    response.dynamic_metadata.fields[key].string_value = text
    return serialize(response)


_IDENTITY = [Prebuilt(partial(_header_part, name)) for name in IDENTITY_HEADERS]
_WHO = [Prebuilt(partial(_text_part, name)) for name in (SUBJECT, "client")]

_POOLS: Mapping[str, bytes] = {
    **{
        name: _text_part(POOL, LISTS)
        for name, method in METHODS.items()
        if method.lists or method.starts_session or method.shows_rewriter
    },
    **{name: _text_part(POOL, STREAMS_POOL) for name in STREAMS},
}
"""Parts that name the pool of connections for a response, by method, where it has one of its own in Envoy: streams and
answers that wait for long must not take the places of lists."""

_ID = _text_part("decision_id", "." * ID_CHARS)[:-ID_CHARS]


_REQUEST_ID = Prebuilt(partial(_text_part, REQUEST_ID))


def _request_id_part(request_id: RequestId) -> bytes:
    """Return the part with the request's id, which the error bears that takes an answer's place."""
    return _REQUEST_ID(_ENCODE_ID(request_id).decode())


def id_part(decision_id: str) -> bytes:
    """Return the part that names the decision.

    Raises:
        ValueError: the id has not `ID_CHARS` characters, which the prebuilt part is for.
    """
    if len(decision_id) != ID_CHARS:
        msg = f"a decision's id has {ID_CHARS} characters"
        raise ValueError(msg)
    return _ID + decision_id.encode("ascii")


def set_headers(headers: Any, pairs: Iterable[tuple[str, str]]) -> None:
    """Set headers, each in the place of what was sent under its name."""
    for name, value in pairs:
        option = headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value


def describe(
    response: Any, decision: str, reason: Reason, server: str, policy: str, *, rewrite: bool
) -> None:
    """Leave a decision in dynamic metadata."""
    _set_metadata(
        response, {"decision": decision, "reason": reason.value, "server": server, "policy": policy}
    )
    response.dynamic_metadata.fields["rewrite"].bool_value = rewrite


def _set_metadata(response: Any, texts: Mapping[str, str]) -> None:
    """Leave texts in dynamic metadata, for access logs, rate limits and the rewriter's matcher."""
    fields = response.dynamic_metadata.fields
    for name, value in texts.items():
        if value:
            fields[name].string_value = value

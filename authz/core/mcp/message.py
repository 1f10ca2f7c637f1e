"""A request's body and headers -> one MCP message, or the reason it is none.

Rules of this file:

* The body alone says what is asked. The MCP headers only have to agree with it: in the modern era they must be
  present, in every era a header that is present must not contradict (SEP-2243, Trusting Header Values).
* What another parser could read differently is refused, never interpreted: arrays, keys that are a known key in
  other letters (see `confusables`), a message with both `method` and `result`, ids that are no string and no integer,
  argument names that collide when case is folded.
* The version decides the era, whether header or body names it (see `methods`).
* Precedence for modern requests, as the specification's own servers have it: `_meta` incomplete (-32602), then
  headers against body (-32020), then the version (-32022), then the method (404, -32601).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import ASSUMED_VERSION, METHODS, VENDOR, Era, Method, is_known, is_modern
from authz.core.mcp.routing_headers import headers_agree
from authz.core.mcp.uri import reading
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, Limits, RequestId
from authz.core.wire.confusables import collide, imitates
from authz.core.wire.strict_json import StrictJSONError, loads

# The JSON-RPC 2.0 envelope that every MCP message comes in: its members and its id.

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


def read_id(value: Mapping[str, Any], limits: Limits) -> tuple[RequestId, bool]:
    """Return the id and whether it is acceptable: absent, an integer or a string, and not too long."""
    if "id" not in value:
        return None, True
    request_id = value["id"]
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        return None, False
    if isinstance(request_id, str) and len(request_id) > limits.name:
        return None, False
    return request_id, True


def envelope_flaw(value: Mapping[str, Any], limits: Limits) -> Reason | None:
    """Return what is wrong with the envelope, None when nothing is."""
    method = value.get("method", "")
    sound = (
        value.get("jsonrpc") == "2.0"
        and not imitates(value, _ENVELOPE)
        and isinstance(method, str)
        and len(method) <= limits.name
        and ("method" not in value or (method and "result" not in value and "error" not in value))
    )
    return None if sound else Reason.BAD_MESSAGE


def peek_id(body: bytes, limits: Limits | None = None) -> RequestId:
    """Return the id to answer a request with that is refused before its message is read; None if there is none."""
    limits = limits or DEFAULT_LIMITS
    try:
        value = loads(body, max_depth=limits.depth)
    except StrictJSONError:
        return None
    return read_id(value, limits)[0] if isinstance(value, dict) else None


INVALID_PARAMS = -32602

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

_PARAMS = frozenset(
    {"name", "arguments", "uri", "ref", "taskId", "notifications", "_meta", "cursor", "task", "requestState"}
    | {"inputResponses", "argument", "context", "level", "protocolVersion", "capabilities", "clientInfo"},
)
_META = frozenset(
    {
        META_VERSION,
        META_CAPABILITIES,
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/logLevel",
    }
    | {"progressToken"},
)
_INNER = frozenset({"type", "name", "uri", "resourceSubscriptions", "taskIds"})


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message.

    Attributes:
        method: the MCP method; empty for a client's response to a server's request.
        row: the method's row of the table.
        request_id: the JSON-RPC id; None for a notification.
        items: what it names.
        arguments: a tool's or prompt's arguments, empty when there are none.
        version: the protocol version it declares, or the one to be assumed.
    """

    method: str
    row: Method
    request_id: RequestId
    items: tuple[Item, ...]
    arguments: Mapping[str, Any]
    version: str


class MessageRejected(msgspec.Struct, frozen=True, kw_only=True):
    """Why a body is no acceptable message, with what is known for the answer.

    Attributes:
        reason: one of the request reasons.
        code: the JSON-RPC code when it is not the reason's own.
        request_id: the id to answer with, None when unknown.
        method: the method as far as it was read, empty when not.
        version: the declared protocol version, empty when unknown.
    """

    reason: Reason
    code: int | None = None
    request_id: RequestId = None
    method: str = ""
    version: str = ""


_NO_METHODS: frozenset[str] = frozenset()
_RESPONSE = Method(eras=(Era.LEGACY,))
_NO_ROW = Method(eras=())
"""What stands for the row of a method that the table does not know: no era knows it."""


def read_message(
    request: HttpRequest,
    *,
    opened: frozenset[str] = _NO_METHODS,
    limits: Limits | None = None,
) -> Message | MessageRejected:
    """Read the one MCP message of a POST.

    Args:
        request: the request; `body` must be complete.
        opened: methods outside the table that the server's configuration opens.
        limits: bounds; the defaults when None.

    Returns:
        The message, or why there is none.
    """
    limits = limits or DEFAULT_LIMITS
    try:
        value = loads(request.body, max_depth=limits.depth)
    except StrictJSONError:
        return MessageRejected(reason=Reason.BAD_JSON)
    if not isinstance(value, dict):
        return MessageRejected(reason=Reason.BATCH if isinstance(value, list) else Reason.BAD_MESSAGE)
    request_id, id_ok = read_id(value, limits)
    version = request.headers.get("mcp-protocol-version", "")
    flaw = envelope_flaw(value, limits) or (None if id_ok else Reason.BAD_MESSAGE)
    if flaw is not None:
        return MessageRejected(reason=flaw, request_id=request_id, version=version)
    if "method" not in value:
        return _response(value, request_id, version, mirrored="mcp-method" in request.headers)
    read = _read(request, value, request_id, opened, limits)
    if isinstance(read, Message):
        return read
    reason, code = read
    return MessageRejected(
        reason=reason, code=code, request_id=request_id, method=str(value["method"]), version=version
    )


def _response(
    value: Mapping[str, Any], request_id: RequestId, version: str, *, mirrored: bool
) -> Message | MessageRejected:
    """Read a client's answer to a server's request; the modern era has none."""
    one_outcome = ("result" in value) != ("error" in value)
    if request_id is None or not one_outcome or "params" in value or is_modern(version):
        return MessageRejected(reason=Reason.BAD_MESSAGE, version=version)
    if mirrored:
        return MessageRejected(reason=Reason.HEADER_MISMATCH, version=version)
    return Message(
        method="",
        row=_RESPONSE,
        request_id=request_id,
        items=(),
        arguments={},
        version=version or ASSUMED_VERSION,
    )


_Flaw = tuple[Reason, int | None]
"""Why a message with a method is not accepted, and the JSON-RPC code when it is not the reason's own."""

_BAD: _Flaw = (Reason.BAD_MESSAGE, None)
_INCOMPLETE: _Flaw = (Reason.BAD_MESSAGE, INVALID_PARAMS)
_MISMATCH: _Flaw = (Reason.HEADER_MISMATCH, None)
_UNSUPPORTED: _Flaw = (Reason.UNSUPPORTED_VERSION, None)
_UNKNOWN: _Flaw = (Reason.UNKNOWN_METHOD, None)
_AMBIGUOUS_URI: _Flaw = (Reason.AMBIGUOUS_URI, None)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _read(  # noqa: PLR0911 - one return for each kind of flaw
    request: HttpRequest,
    value: Mapping[str, Any],
    request_id: RequestId,
    opened: frozenset[str],
    limits: Limits,
) -> Message | _Flaw:
    """Read a message that has a method."""
    params = value.get("params", _EMPTY)
    meta = params.get("_meta", _EMPTY) if isinstance(params, dict) else _EMPTY
    if not _is_object(params, _PARAMS) or not _is_object(meta, _META):
        return _BAD
    method, is_request = value["method"], "id" in value
    header = request.headers.get("mcp-protocol-version", "")
    era = Era.MODERN if is_modern(header) or META_VERSION in meta else Era.LEGACY
    if era is Era.MODERN and (flaw := _meta_flaw(meta, header, required=is_request)):
        return flaw
    if flaw := _header_flaw(request.headers, method, params, required=is_request and era is Era.MODERN):
        return flaw
    row = METHODS.get(method) or (VENDOR if method in opened else _NO_ROW)
    if era not in row.eras or (row.notification == is_request and row is not VENDOR):
        return _BAD if era in row.eras else _UNKNOWN
    items = row.extract_items(params) if row.extract_items else ()
    arguments = params.get("arguments", _EMPTY)
    if items is None or not _bounded(items, limits) or _ambiguous(arguments, params):
        return _INCOMPLETE
    if _has_ambiguous_uri(items):  # only now, because it looks at every character
        return _AMBIGUOUS_URI
    return Message(
        method=method,
        row=row,
        request_id=request_id,
        items=items,
        arguments=arguments if row.arguments else _EMPTY,
        version=header or ASSUMED_VERSION,
    )


def _is_object(value: Any, known: frozenset[str]) -> bool:
    """Return whether a value is an object, absent or present, none of whose keys only looks like a known one."""
    return value is _EMPTY or (isinstance(value, dict) and not imitates(value, known))


def _meta_flaw(meta: Mapping[str, Any], header: str, *, required: bool) -> _Flaw | None:
    """Return what is wrong with the metadata of a modern message; only a request must have it."""
    version = meta.get(META_VERSION)
    complete = isinstance(version, str) and isinstance(meta.get(META_CAPABILITIES), dict)
    if required and not complete:
        return _INCOMPLETE
    return None if version is None or version == header else _MISMATCH


def _header_flaw(
    headers: Mapping[str, str], method: str, params: Mapping[str, Any], *, required: bool
) -> _Flaw | None:
    """Return what is wrong with the headers that repeat the body, or with the version that they declare."""
    if not headers_agree(headers, method, params, required=required):
        return _MISMATCH
    return None if is_known(headers.get("mcp-protocol-version", "")) else _UNSUPPORTED


def _bounded(items: tuple[Item, ...], limits: Limits) -> bool:
    if len(items) > limits.items:
        return False
    for item in items:  # noqa: SIM110 - on every request's path, where a generator costs more than the loop
        if len(item.name) > limits.name:
            return False
    return True


_MAX_URI_CHARS = 32_768
"""Characters of all URIs that one request may name: each is read several times."""


def _has_ambiguous_uri(items: tuple[Item, ...]) -> bool:
    """Return whether a URI is not canonical or means different things by itself, or all of them are too long to tell.

    The rules have no part in that.
    """
    if sum(len(item.name) for item in items if item.kind is Kind.RESOURCE) > _MAX_URI_CHARS:
        return True
    for item in items:  # noqa: SIM110 - as above
        if item.kind is Kind.RESOURCE and reading(item.name) is None:
            return True
    return False


def _ambiguous(arguments: Any, params: Mapping[str, Any]) -> bool:
    """Return whether the arguments, or what else stands below the params, could be read in two ways."""
    if arguments is not _EMPTY and (not isinstance(arguments, dict) or _collisions(arguments)):
        return True
    inner = [params[key] for key in ("ref", "notifications") if key in params]
    return any(isinstance(part, dict) and imitates(part, _INNER) for part in inner) if inner else False


_CONTAINERS = (dict, list)


def _collisions(value: Any) -> bool:
    """Return whether names collide in any object of the arguments; a rule may read at every depth."""
    if isinstance(value, dict):
        if value and collide(value):
            return True
        value = value.values()
    for part in value:  # noqa: SIM110 - as above
        if isinstance(part, _CONTAINERS) and _collisions(part):
            return True
    return False

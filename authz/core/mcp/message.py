"""A request's body and headers -> one MCP message, or the reason it is none.

Rules of this file:

* The body alone says what is asked. The MCP headers only have to agree with it: in the modern era they must be
  present, in every era a header that is present must not contradict (SEP-2243, Trusting Header Values).
* What another parser could read differently is refused, never interpreted: arrays, keys that are a known key in
  other letters or could stand for one (see `confusables`), a message with both `method` and `result`, ids that are no
  string and no integer. Arguments are looked at where a rule reads them (`policy.context`), and nowhere else.
* `null` stands for absence where a member may be left out, as Go, Java and C# clients write it. `id` is no such member
  (see `envelope`).
* Values, keys and depth are counted before anything is read, names and their lengths before anything is looked into.
  What is looked at is paid for from the request's `Budget`.
* The version decides the era, whether header or body names it (see `methods`).
* Precedence for modern requests, as the specification's own servers have it: `_meta` incomplete (-32602), then
  headers against body (-32020), then the version (-32022), then the method (404, -32601).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from authz.core.mcp.envelope import envelope_flaw, has_one_outcome, load_body, peek_id, read_id
from authz.core.mcp.item import Item, Kind
from authz.core.mcp.methods import ASSUMED_VERSION, METHODS, VENDOR, Era, Method, is_known, is_modern
from authz.core.mcp.routing_headers import headers_agree
from authz.core.mcp.uri import are_clear
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, HttpRequest, Limits, RequestId
from authz.core.wire.confusables import Budget, OverBudgetError, misleads
from authz.core.wire.strict_json import StrictJSONError

INVALID_PARAMS = -32602

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

PARAMS = frozenset(
    {"name", "arguments", "uri", "ref", "taskId", "notifications", "_meta", "cursor", "task", "requestState"}
    | {"inputResponses", "argument", "context", "level", "protocolVersion", "capabilities", "clientInfo"},
)
META = frozenset(
    {
        META_VERSION,
        META_CAPABILITIES,
        "io.modelcontextprotocol/clientInfo",
        "io.modelcontextprotocol/logLevel",
    }
    | {"progressToken"},
)
INNER = frozenset({"type", "name", "uri", "resourceSubscriptions", "taskIds"})


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One accepted message.

    Attributes:
        method: the MCP method; empty for a client's response to a server's request.
        row: the method's row of the table.
        request_id: the JSON-RPC id; None for a notification.
        items: what it names.
        arguments: a tool's or prompt's arguments, empty when there are none.
        version: the protocol version it declares, or the one to be assumed.
        budget: pays for looking at the arguments; None where there are none.
        task: whether the answer is to be a task (2025-11-25), which no other result can stand for.
    """

    method: str
    row: Method
    request_id: RequestId
    items: tuple[Item, ...]
    arguments: Mapping[str, Any]
    version: str
    budget: Budget | None = None
    task: bool = False


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
    version = request.headers.get("mcp-protocol-version", "")
    try:
        value = load_body(request.body, limits)
    except StrictJSONError:
        return MessageRejected(
            reason=Reason.BAD_JSON, request_id=peek_id(request.body, limits), version=version
        )
    except OverBudgetError:
        return MessageRejected(
            reason=Reason.TOO_COMPLEX, request_id=peek_id(request.body, limits), version=version
        )
    if not isinstance(value, dict):
        return MessageRejected(reason=Reason.BATCH if isinstance(value, list) else Reason.BAD_MESSAGE)
    return _read_object(request.headers, version, value, opened, limits)


def _read_object(
    headers: Mapping[str, str],
    version: str,
    value: Mapping[str, Any],
    opened: frozenset[str],
    limits: Limits,
) -> Message | MessageRejected:
    """Read a body that is an object."""
    request_id, id_ok = read_id(value, limits)
    budget = Budget(limits.nodes, limits.normalised)
    try:
        flaw = envelope_flaw(value, limits, budget) or (None if id_ok else Reason.BAD_MESSAGE)
        if flaw is not None:
            return MessageRejected(reason=flaw, request_id=request_id, version=version)
        if "method" not in value:
            return _response(value, request_id, version, mirrored="mcp-method" in headers)
        read = _read(headers, version, value, request_id, opened, limits, budget)
    except OverBudgetError:
        read = _TOO_COMPLEX
    if isinstance(read, Message):
        return read
    reason, code = read
    return MessageRejected(
        reason=reason, code=code, request_id=request_id, method=_method_of(value, limits), version=version
    )


def _response(
    value: Mapping[str, Any], request_id: RequestId, version: str, *, mirrored: bool
) -> Message | MessageRejected:
    """Read a client's answer to a server's request; the modern era has none."""
    has_params = value.get("params") is not None
    if request_id is None or not has_one_outcome(value) or has_params or is_modern(version):
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
_TOO_COMPLEX: _Flaw = (Reason.TOO_COMPLEX, None)
_EMPTY: Mapping[str, Any] = MappingProxyType({})


def _read(  # noqa: PLR0911 - one return for each kind of flaw
    headers: Mapping[str, str],
    version: str,
    value: Mapping[str, Any],
    request_id: RequestId,
    opened: frozenset[str],
    limits: Limits,
    budget: Budget,
) -> Message | _Flaw:
    """Read a message that has a method.

    Raises:
        OverBudgetError: it has more foreign keys than are looked at.
    """
    params = _present(value, "params")
    meta = _present(params, "_meta") if isinstance(params, dict) else _EMPTY
    if not _is_object(params, PARAMS, budget) or not _is_object(meta, META, budget):
        return _BAD
    method, is_request = value["method"], "id" in value
    era = Era.MODERN if META_VERSION in meta or is_modern(version) else Era.LEGACY
    if era is Era.MODERN and (flaw := _meta_flaw(meta, version, required=is_request)):
        return flaw
    if not headers_agree(headers, method, params, required=is_request and era is Era.MODERN):
        return _MISMATCH
    if not is_known(version):
        return _UNSUPPORTED
    row = METHODS.get(method) or (VENDOR if method in opened else _NO_ROW)
    if era not in row.eras or (row.notification == is_request and row is not VENDOR):
        return _BAD if era in row.eras else _UNKNOWN
    items = row.extract_items(params, limits) if row.extract_items else ()
    arguments = _present(params, "arguments")
    shaped = arguments is _EMPTY or isinstance(arguments, dict)
    if items is None or not shaped or _is_ambiguous(params, budget):
        return _INCOMPLETE
    uris = [item.name for item in items if item.kind is Kind.RESOURCE]
    if uris and not are_clear(uris):  # only now, because it looks at every character
        return _AMBIGUOUS_URI
    return Message(
        method=method,
        row=row,
        request_id=request_id,
        items=items,
        arguments=arguments if row.arguments else _EMPTY,
        version=version or ASSUMED_VERSION,
        task=params.get("task") is not None,
        budget=budget,
    )


def _present(value: Mapping[str, Any], key: str) -> Any:
    """Return a member that may be left out or null, empty in both cases."""
    member = value.get(key)
    return _EMPTY if member is None else member


def _method_of(value: Mapping[str, Any], limits: Limits) -> str:
    """Return the method of a message that is refused; none if it is no name."""
    method = value.get("method", "")
    return method if isinstance(method, str) and len(method) <= limits.name else ""


def _is_object(value: Any, known: frozenset[str], budget: Budget) -> bool:
    """Return whether a value is an object, absent or present, none of whose keys could be taken for a known one."""
    if value is _EMPTY:
        return True
    return isinstance(value, dict) and (known.issuperset(value) or not misleads(value, known, budget))


def _meta_flaw(meta: Mapping[str, Any], header: str, *, required: bool) -> _Flaw | None:
    """Return what is wrong with the metadata of a modern message; only a request must have it."""
    version = meta.get(META_VERSION)
    complete = isinstance(version, str) and isinstance(meta.get(META_CAPABILITIES), dict)
    if required and not complete:
        # Without a version in the body it is a legacy message, whose header names a version that is not known.
        return _INCOMPLETE if META_VERSION in meta or is_known(header) else _UNSUPPORTED
    return None if version is None or version == header else _MISMATCH


def _is_ambiguous(params: Mapping[str, Any], budget: Budget) -> bool:
    """Return whether what stands below the params, beside metadata and arguments, could be read in two ways."""
    for key in ("ref", "notifications"):
        part = params.get(key)
        if isinstance(part, dict) and misleads(part, INNER, budget):
            return True
    return False

"""A request's body and headers -> one MCP message, or the reason it is none.

Rules of this file:

* The body alone says what is asked. The MCP headers only have to agree with it: in the modern era they must be
  present, in every era a header that is present must not contradict (SEP-2243, Trusting Header Values).
* What another parser could read differently is refused, never interpreted: arrays, keys that are a known key in
  other letters (see `lookalike`), a message with both `method` and `result`, ids that are no string and no integer,
  argument names that collide when case is folded.
* The version decides the era, whoever names it, header or body (see `versions`).
* Precedence for modern requests, as the specification's own servers have it: `_meta` incomplete (-32602), then
  headers against body (-32020), then the version (-32022), then the method (404, -32601).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from authz.core.decision import RequestId
from authz.core.envelope import envelope_flaw, read_id
from authz.core.item import Item
from authz.core.limits import DEFAULT_LIMITS, Limits
from authz.core.lookalike import collide, imitates
from authz.core.methods import METHODS, VENDOR, Era, Method
from authz.core.mirror import headers_agree
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.strictjson import StrictJSONError, loads
from authz.core.versions import ASSUMED_VERSION, is_known, is_modern

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


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
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
_RESPONSE = Method(eras=Era.LEGACY)


def read_message(
    request: HttpRequest,
    *,
    opened: frozenset[str] = _NO_METHODS,
    limits: Limits | None = None,
) -> Message | Rejected:
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
        return Rejected(reason=Reason.BAD_JSON)
    if not isinstance(value, dict):
        return Rejected(reason=Reason.BATCH if isinstance(value, list) else Reason.BAD_MESSAGE)
    request_id, id_ok = read_id(value, limits)
    version = request.headers.get("mcp-protocol-version", "")
    flaw = envelope_flaw(value, limits) or (None if id_ok else Reason.BAD_MESSAGE)
    if flaw is not None:
        return Rejected(reason=flaw, request_id=request_id, version=version)
    if "method" not in value:
        return _response(value, request_id, version, mirrored="mcp-method" in request.headers)
    return _Reader(request, value, request_id, opened, limits).read()


def _response(
    value: Mapping[str, Any], request_id: RequestId, version: str, *, mirrored: bool
) -> Message | Rejected:
    """Read a client's answer to a server's request; the modern era has none."""
    one_outcome = ("result" in value) != ("error" in value)
    if request_id is None or not one_outcome or "params" in value or is_modern(version):
        return Rejected(reason=Reason.BAD_MESSAGE, version=version)
    if mirrored:
        return Rejected(reason=Reason.HEADER_MISMATCH, version=version)
    return Message(
        method="",
        row=_RESPONSE,
        request_id=request_id,
        items=(),
        arguments={},
        version=version or ASSUMED_VERSION,
    )


def _collisions(value: Any) -> bool:
    """Tell whether names collide in any object of the arguments; a rule may read at every depth."""
    if isinstance(value, dict):
        if collide(value):
            return True
        value = value.values()
    return any(_collisions(part) for part in value if isinstance(part, dict | list))


@dataclass(slots=True)
class _Reader:
    """Reads a message that has a method; a class only so that its steps share what they know."""

    request: HttpRequest
    value: Mapping[str, Any]
    request_id: RequestId
    opened: frozenset[str]
    limits: Limits

    def read(self) -> Message | Rejected:
        params = self.value.get("params", {})
        if not isinstance(params, dict) or imitates(params, _PARAMS):
            return self._reject(Reason.BAD_MESSAGE)
        meta = params.get("_meta", {})
        if not isinstance(meta, dict) or imitates(meta, _META):
            return self._reject(Reason.BAD_MESSAGE)
        header = self.request.headers.get("mcp-protocol-version", "")
        if is_modern(header) or META_VERSION in meta:
            return self._modern_flaw(header, meta, params) or self._judge(params, header, Era.MODERN)
        return self._agreement_flaw(params, required=False) or self._judge(params, header, Era.LEGACY)

    def _reject(self, reason: Reason, code: int | None = None) -> Rejected:
        return Rejected(
            reason=reason,
            code=code,
            request_id=self.request_id,
            method=self.value["method"],
            version=self.request.headers.get("mcp-protocol-version", ""),
        )

    def _modern_flaw(
        self, header: str, meta: Mapping[str, Any], params: Mapping[str, Any]
    ) -> Rejected | None:
        request_needs_meta = "id" in self.value
        version = meta.get(META_VERSION)
        complete = isinstance(version, str) and isinstance(meta.get(META_CAPABILITIES), dict)
        if request_needs_meta and not complete:
            return self._reject(Reason.BAD_MESSAGE, INVALID_PARAMS)
        if version is not None and version != header:
            return self._reject(Reason.HEADER_MISMATCH)
        flaw = self._agreement_flaw(params, required=request_needs_meta)
        return flaw or (None if is_known(header) else self._reject(Reason.UNSUPPORTED_VERSION))

    def _agreement_flaw(self, params: Mapping[str, Any], *, required: bool) -> Rejected | None:
        if headers_agree(self.request.headers, self.value["method"], params, required=required):
            return None
        return self._reject(Reason.HEADER_MISMATCH)

    def _judge(self, params: Mapping[str, Any], header: str, era: Era) -> Message | Rejected:
        method = self.value["method"]
        row = METHODS.get(method) or (VENDOR if method in self.opened else None)
        if row is None or not row.eras & era:
            return self._reject(Reason.UNKNOWN_METHOD)
        is_request = "id" in self.value
        if row is not VENDOR and row.notification == is_request:
            return self._reject(Reason.BAD_MESSAGE)
        items = row.names(params) if row.names else ()
        arguments = params.get("arguments", {})
        if items is None or not self._bounded(items) or not isinstance(arguments, dict):
            return self._reject(Reason.BAD_MESSAGE, INVALID_PARAMS)
        if _collisions(arguments) or self._inner_imitation(params):
            return self._reject(Reason.BAD_MESSAGE, INVALID_PARAMS)
        return Message(
            method=method,
            row=row,
            request_id=self.request_id,
            items=items,
            arguments=arguments if row.arguments else {},
            version=header or ASSUMED_VERSION,
        )

    def _bounded(self, items: tuple[Item, ...]) -> bool:
        return len(items) <= self.limits.items and all(len(item.name) <= self.limits.name for item in items)

    @staticmethod
    def _inner_imitation(params: Mapping[str, Any]) -> bool:
        inner = (params.get("ref"), params.get("notifications"))
        return any(isinstance(part, dict) and imitates(part, _INNER) for part in inner)

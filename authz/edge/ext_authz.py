"""Envoy's ext_authz Check to the engine and back: translation, no judgement.

Rules of this module:

* The only broad `except` of the service is here, around the whole walk, and it denies.
* A request is judged on `raw_body`. A `body` that Envoy sanitised is other bytes than the server would get, so it
  counts as incomplete.
* Headers come as a list (`encode_raw_headers: true`), which shows repeated ones, or as a map in which Envoy joined
  them with ",". Its inline headers (Authorization and others) arrive joined in either form, so a comma in a header
  that may stand only once counts as a repetition; in the list form not in those whose value may hold one.
* Of a header in an answer Envoy reads `value` only; one set through `raw_value` would arrive empty.
* Of the identity headers every copy and every spelling that a client sent is removed, whether set here or not.
"""

import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import grpc
import structlog
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2
from google.rpc import code_pb2

from authz.core.answer import answer
from authz.core.decision import Decision
from authz.core.engine import SINGLE_HEADERS
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.core.server import Server
from authz.edge.handover import KEY, pack
from authz.edge.record import Record, make_record
from authz.edge.service import Service

SERVICE = "envoy.service.auth.v3.Authorization"
IDENTITY_HEADERS = ("x-mcp-subject", "x-mcp-client", "x-mcp-scopes", "x-mcp-issuer")
PARTIAL_BODY = "x-envoy-auth-partial-body"

_LOG = structlog.get_logger("authz.check")
_pb: Any = external_auth_pb2
_OVERWRITE: Any = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_PERMISSION_DENIED: Any = code_pb2.PERMISSION_DENIED
_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


class Checker:
    """Handles the Checks of Envoy's ext_authz filter."""

    def __init__(self, service: Service) -> None:
        """Decide by `service`."""
        self._service = service

    def handler(self) -> grpc.GenericRpcHandler:
        """Give what a `grpc.aio` server takes in `add_generic_rpc_handlers` to serve this."""
        check = grpc.unary_unary_rpc_method_handler(
            self.check,
            request_deserializer=_pb.CheckRequest.FromString,
            response_serializer=_pb.CheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    async def check(self, message: Any, _context: Any) -> Any:
        """Answer one Check; there is an answer for every message, and a denial unless the walk allowed it."""
        began = time.perf_counter()
        decision, request = Decision(), _NOTHING
        try:
            request = read_request(message)
            decision = await self._decide(request, began + self._service.settings.check_seconds)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is no
            _LOG.error("check failed", error=type(error).__name__)
        return self._finish(decision, request, began)

    async def _decide(self, request: HttpRequest, deadline: float) -> Decision:
        """Decide; where a token names an unknown key, look for it once and decide again."""
        decision = self._service.check(request, deadline)
        if decision.reason is not Reason.UNKNOWN_KEY:
            return decision
        found = await self._service.look_for_key(decision, deadline)
        return self._service.check(request, deadline) if found else decision

    def _finish(self, decision: Decision, request: HttpRequest, began: float) -> Any:
        """Render the answer, then record the decision."""
        service = self._service
        server = service.servers.get(decision.server)
        decision_id = secrets.token_hex(8)
        denial = None if decision.allowed else answer(decision, server, request, decision_id)
        seconds = time.perf_counter() - began
        record = make_record(
            decision,
            decision_id=decision_id,
            policy=service.settings.digest,
            at=time.time(),
            seconds=seconds,
            status=0 if denial is None else denial.status,
            source=request.source,
        )
        response = _pb.CheckResponse()
        if denial is None:
            _allow(response, decision, request, server)
        else:
            _deny(response, denial.status, denial.headers, denial.body)
        _describe(response, record)
        if decision.allowed and decision.rewrite and decision.principal is not None and server is not None:
            reads = service.reads[server.name]
            baggage = pack(decision.principal, request, reads, request_id=decision.request_id)
            response.dynamic_metadata[KEY] = baggage
        service.audit.write(record)
        service.metrics.decided(decision, seconds)
        return response


_NOTHING = HttpRequest(method="", host="", path="", headers={})


def read_request(message: Any) -> HttpRequest:
    """Translate a CheckRequest.

    Raises:
        UnicodeDecodeError: a header that must be text is not.
    """
    attributes = message.attributes
    http = attributes.request.http
    headers, repeated = _headers(http)
    body = http.raw_body
    partial = headers.pop(PARTIAL_BODY, "false")
    address = attributes.source.address.socket_address
    return HttpRequest(
        method=http.method,
        scheme=http.scheme,
        host=http.host,
        path=http.path,
        headers=headers,
        repeated=repeated,
        body=body,
        body_complete=partial == "false" and not http.body,
        source=address.address,
    )


_MAY_HOLD_COMMA = frozenset({"mcp-name", "last-event-id"})
"""Headers that Envoy never joins by itself and whose value is free text."""
_JOINED = frozenset(SINGLE_HEADERS) - _MAY_HOLD_COMMA


def _headers(http: Any) -> tuple[dict[str, str], frozenset[str]]:
    """Give headers by lower-case name, joined with "," when repeated, and the names of those that were."""
    listed = http.header_map.headers
    if not listed:
        headers = {name.lower(): value for name, value in http.headers.items()}
        return headers, _with_comma(headers, SINGLE_HEADERS)
    headers = {}
    repeated: set[str] = set()
    for header in listed:
        name = header.key.lower()
        value = header.raw_value.decode("latin-1") if header.raw_value else header.value
        if name in headers:
            repeated.add(name)
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers, _with_comma(headers, _JOINED) | repeated


def _with_comma(headers: Mapping[str, str], names: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in names if "," in headers.get(name, ""))


def _allow(response: Any, decision: Decision, request: HttpRequest, server: Server | None) -> None:
    """Fill in an allow: identity headers set, every other spelling of them removed, the token too unless forwarded."""
    response.status.code = 0
    ok = response.ok_response
    given = _identity(decision)
    for name, value in given.items():
        option = ok.headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value
    ok.headers_to_remove.extend(name for name in request.headers if name not in given and _is_identity(name))
    ok.headers_to_remove.extend(name for name in IDENTITY_HEADERS if name not in given)
    if server is None or not server.forward_token:
        ok.headers_to_remove.append("authorization")
    if decision.rewrite:
        ok.headers_to_remove.append("accept-encoding")  # a list must come back readable


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
    """Tell whether a header is an identity header in some spelling that a server may read as one."""
    return name.replace("_", "-").replace(".", "-") in IDENTITY_HEADERS


def _deny(response: Any, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = status
    denied.body = body.decode()
    for name, value in headers:
        option = denied.headers.add(append_action=_OVERWRITE)
        option.header.key, option.header.value = name, value


_SAID = (
    "decision",
    "reason",
    "rule",
    "method",
    "tool",
    "prompt",
    "resource",
    "task",
    "sub",
    "client",
    "server",
    "policy",
)


def _describe(response: Any, record: Record) -> None:
    """Leave the decision in dynamic metadata, for access logs, rate limits and the rewriter's matcher."""
    metadata = response.dynamic_metadata
    for name in _SAID:
        value = getattr(record, name)
        if value:
            metadata[name] = value
    metadata["decision_id"] = record.decision_id
    metadata["rewrite"] = record.rewrite

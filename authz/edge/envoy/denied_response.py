"""Denials -> CheckResponses, as bytes: what `core.denial` renders for the client, and what the operator reads of it."""

from typing import Any

from envoy.service.auth.v3 import external_auth_pb2
from google.rpc import code_pb2

from authz.core.decision import Decision
from authz.core.denial import DenialResponse, render_denial
from authz.core.engine import PolicySnapshot
from authz.core.request import HttpRequest
from authz.core.response.caller_metadata import LISTENER, LISTS, POOL
from authz.edge.envoy.check_response import (
    call_part,
    describe,
    id_part,
    principal_part,
    serialize,
    set_headers,
)

_pb: Any = external_auth_pb2
_PERMISSION_DENIED: Any = code_pb2.PERMISSION_DENIED


def answer_denial(
    decision: Decision, request: HttpRequest, snapshot: PolicySnapshot, decision_id: str, probe: bool
) -> tuple[bytes, int]:
    """Return the response to a denied request, and its HTTP status; one that is a `probe` asks for the rewriter."""
    server = snapshot.servers.get(decision.server)
    denial = render_denial(decision, server, request, decision_id, limits=snapshot.limits)
    response = deny(decision, denial, snapshot.digest, decision_id, request.listener() if probe else None)
    return response, denial.status


def deny(
    decision: Decision, denial: DenialResponse, policy: str, decision_id: str, listener: str | None = None
) -> bytes:
    """Return the response to a denied request, as `core.denial` rendered it.

    With a `listener`, where the request arrived, it asks for the rewriter: that shows the service if there is one. So it
    takes the way of lists.
    """
    response = _pb.CheckResponse()
    response.status.code = _PERMISSION_DENIED
    denied = response.denied_response
    denied.status.code = denial.status
    denied.body = denial.body.decode()
    set_headers(denied.headers, denial.headers)
    describe(response, "deny", decision.reason, decision.server, policy, rewrite=listener is not None)
    if listener is not None:
        response.dynamic_metadata.fields[LISTENER].string_value = listener
        response.dynamic_metadata.fields[POOL].string_value = LISTS
    who = b"" if decision.principal is None else principal_part(decision.principal)
    called = call_part(decision.method, decision.rule, decision.item)
    return serialize(response) + who + called + id_part(decision_id)

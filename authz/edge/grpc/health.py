"""gRPC's health protocol, which tells Envoy whether to send calls here. The empty service name means all services.

Serves `grpc.health.v1.Health`: Check, Watch, and List if the installed messages have it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from authz.edge.grpc.transport import WOKEN, Call, RpcAbort, Stream, Unary

SERVICE = "grpc.health.v1.Health"

_pb: Any = health_pb2
_Response: Any = _pb.HealthCheckResponse


class Health:
    """Answers whether calls are served."""

    def __init__(self) -> None:
        """Begin with NOT_SERVING."""
        self._status = _Response.NOT_SERVING
        self._watching: set[Call] = set()
        unary: dict[str, Unary] = {f"/{SERVICE}/Check": self.check}
        if hasattr(_pb, "HealthListResponse"):  # older versions of grpcio-health-checking have no List
            unary[f"/{SERVICE}/List"] = self.list
        self.unary = MappingProxyType(unary)
        self.streams: Mapping[str, Stream] = MappingProxyType({f"/{SERVICE}/Watch": self.watch})

    @property
    def serving(self) -> bool:
        """Whether the status is SERVING."""
        return bool(self._status == _Response.SERVING)

    def say(self, *, serving: bool) -> None:
        """Set the status and tell everybody who watches it; from any thread."""
        self._status = _Response.SERVING if serving else _Response.NOT_SERVING
        for call in tuple(self._watching):
            call.wake()

    async def check(self, message: bytes, _call: Call) -> bytes:
        """Answer one Check."""
        if _pb.HealthCheckRequest.FromString(message).service:
            raise RpcAbort(grpc.StatusCode.NOT_FOUND)
        return self._said()

    async def list(self, _message: bytes, _call: Call) -> bytes:
        """Answer one List."""
        answer: bytes = _pb.HealthListResponse(
            statuses={"": _Response(status=self._status)}
        ).SerializeToString()
        return answer

    async def watch(self, call: Call) -> None:
        """Send the status, and again whenever it changes, until the client goes."""
        message = await call.read()
        if not isinstance(message, bytes):
            raise RpcAbort(grpc.StatusCode.INVALID_ARGUMENT)
        known = not _pb.HealthCheckRequest.FromString(message).service
        self._watching.add(call)
        told: bytes | None = None
        try:
            while True:
                said = self._said() if known else _UNKNOWN
                if said != told:
                    await call.write(told := said)
                await _woken(call)
        finally:
            self._watching.discard(call)

    def _said(self) -> bytes:
        said: bytes = _Response(status=self._status).SerializeToString()
        return said


_UNKNOWN: bytes = _Response(status=_Response.SERVICE_UNKNOWN).SerializeToString()


async def _woken(call: Call) -> None:
    """Wait to be woken; a client that sends more, or sends its last, changes nothing."""
    while await call.read() is not WOKEN:
        pass

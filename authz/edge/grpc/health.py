"""gRPC's health protocol, by which Envoy learns whether to send calls here: one service, the empty name, for all of them.

Serves `grpc.health.v1.Health`: Check, List and Watch.
"""

from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from authz.edge.grpc.rpc import NUDGED, Refuse, Rpc

SERVICE = "grpc.health.v1.Health"

_pb: Any = health_pb2
_Response: Any = _pb.HealthCheckResponse


class Health:
    """Says whether calls are served."""

    def __init__(self) -> None:
        """Begin as one that serves no calls yet."""
        self._status = _Response.NOT_SERVING
        self._watching: set[Rpc] = set()
        self.unary: Mapping[str, Callable[[bytes, Rpc], Coroutine[Any, Any, bytes]]] = MappingProxyType(
            {f"/{SERVICE}/Check": self.check, f"/{SERVICE}/List": self.list}
        )
        self.streams: Mapping[str, Callable[[Rpc], Coroutine[Any, Any, None]]] = MappingProxyType(
            {f"/{SERVICE}/Watch": self.watch}
        )

    @property
    def serving(self) -> bool:
        """Whether it says that calls are served."""
        return bool(self._status == _Response.SERVING)

    def say(self, *, serving: bool) -> None:
        """Say from now on that calls are served, or that none should come; from any thread."""
        self._status = _Response.SERVING if serving else _Response.NOT_SERVING
        for rpc in tuple(self._watching):
            rpc.nudge()

    async def check(self, message: bytes, _rpc: Rpc) -> bytes:
        """Answer one Check."""
        if _pb.HealthCheckRequest.FromString(message).service:
            raise Refuse(grpc.StatusCode.NOT_FOUND)
        return self._said()

    async def list(self, _message: bytes, _rpc: Rpc) -> bytes:
        """Answer one List."""
        answer: bytes = _pb.HealthListResponse(
            statuses={"": _Response(status=self._status)}
        ).SerializeToString()
        return answer

    async def watch(self, rpc: Rpc) -> None:
        """Tell the status, and again whenever it changes, until the client goes."""
        message = await rpc.read()
        if not isinstance(message, bytes):
            raise Refuse(grpc.StatusCode.INVALID_ARGUMENT)
        known = not _pb.HealthCheckRequest.FromString(message).service
        self._watching.add(rpc)
        told: bytes | None = None
        try:
            while True:
                said = self._said() if known else _UNKNOWN
                if said != told:
                    await rpc.write(told := said)
                await _nudged(rpc)
        finally:
            self._watching.discard(rpc)

    def _said(self) -> bytes:
        said: bytes = _Response(status=self._status).SerializeToString()
        return said


_UNKNOWN: bytes = _Response(status=_Response.SERVICE_UNKNOWN).SerializeToString()


async def _nudged(rpc: Rpc) -> None:
    """Wait for a nudge; what else comes says nothing."""
    while await rpc.read() is not NUDGED:
        pass

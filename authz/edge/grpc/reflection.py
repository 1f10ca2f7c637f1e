"""gRPC's server reflection, which tells `grpcurl` and similar clients what is served here.

Serves `grpc.reflection.v1alpha.ServerReflection` with the answers of grpcio's own servicer. That is loaded when the first
client asks, because few do.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from authz.edge.grpc.transport import Call, Stream

SERVICE = "grpc.reflection.v1alpha.ServerReflection"


class Reflection:
    """Describes services."""

    def __init__(self, services: Iterable[str]) -> None:
        """Describe these services and itself."""
        self._services = (*services, SERVICE)
        self.streams: Mapping[str, Stream] = MappingProxyType(
            {f"/{SERVICE}/ServerReflectionInfo": self.inform}
        )

    async def inform(self, call: Call) -> None:
        """Answer requests one by one."""
        from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415 - see above

        servicer: Any = reflection.ReflectionServicer(self._services)
        read: Any = reflection_pb2.ServerReflectionRequest.FromString
        while isinstance(message := await call.read(), bytes):
            for answer in servicer.ServerReflectionInfo(iter([read(message)]), None):
                await call.write(answer.SerializeToString())

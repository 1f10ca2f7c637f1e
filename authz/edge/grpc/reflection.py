"""gRPC's server reflection, by which `grpcurl` and its like learn what is served here.

Serves `grpc.reflection.v1alpha.ServerReflection`, with the answers of grpcio's own servicer, which is loaded when somebody
asks: few do.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from authz.edge.grpc.rpc import Rpc

SERVICE = "grpc.reflection.v1alpha.ServerReflection"


class Reflection:
    """Describes services."""

    def __init__(self, services: Iterable[str]) -> None:
        """Describe these services and itself."""
        self._services = (*services, SERVICE)
        self.streams: Mapping[str, Callable[[Rpc], Coroutine[Any, Any, None]]] = MappingProxyType(
            {f"/{SERVICE}/ServerReflectionInfo": self.inform}
        )

    async def inform(self, rpc: Rpc) -> None:
        """Answer requests one by one."""
        from grpc_reflection.v1alpha import reflection, reflection_pb2  # noqa: PLC0415 - see above

        servicer: Any = reflection.ReflectionServicer(self._services)
        read: Any = reflection_pb2.ServerReflectionRequest.FromString
        while isinstance(message := await rpc.read(), bytes):
            for answer in servicer.ServerReflectionInfo(iter([read(message)]), None):
                await rpc.write(answer.SerializeToString())

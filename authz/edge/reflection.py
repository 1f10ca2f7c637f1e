"""gRPC's server reflection, by which `grpcurl` and its like learn what is served here.

Serves `grpc.reflection.v1alpha.ServerReflection`, with the answers of grpcio's own servicer.
"""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from grpc_reflection.v1alpha import reflection, reflection_pb2

from authz.edge.rpc import Rpc

SERVICE: str = reflection.SERVICE_NAME

_pb: Any = reflection_pb2


class Reflection:
    """Describes services."""

    def __init__(self, services: Iterable[str]) -> None:
        """Describe these services and itself."""
        self._servicer: Any = reflection.ReflectionServicer((*services, SERVICE))
        self.streams: Mapping[str, Callable[[Rpc], Coroutine[Any, Any, None]]] = MappingProxyType(
            {f"/{SERVICE}/ServerReflectionInfo": self.inform}
        )

    async def inform(self, rpc: Rpc) -> None:
        """Answer requests one by one."""
        while isinstance(message := await rpc.read(), bytes):
            requests = iter([_pb.ServerReflectionRequest.FromString(message)])
            for answer in self._servicer.ServerReflectionInfo(requests, None):
                await rpc.write(answer.SerializeToString())

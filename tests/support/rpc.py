"""The service's gRPC server over a real socket, and a call of it that has none."""

from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from authz.edge.grpc.native import RpcServer, Stream, Unary

_T = TypeVar("_T")


class Here:
    """The call of a Check whose event loop is the one that runs."""

    async def elsewhere(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do it here."""
        return await work


@asynccontextmanager
async def serving(
    *,
    unary: Mapping[str, Unary] | None = None,
    streams: Mapping[str, Stream] | None = None,
    credentials: grpc.ServerCredentials | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[tuple[RpcServer, int]]:
    """Serve these methods at a free port; gives the server and the port, and ends at once afterwards."""
    server = RpcServer(unary=unary or {}, streams=streams or {})
    port = server.bind(f"{host}:0", credentials)
    server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)

"""The service's gRPC servers over a real socket, and a call that has none."""

from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import grpc

from authz.edge.grpc.aio import AioServer
from authz.edge.grpc.native import NativeServer
from authz.edge.grpc.select import ServerType
from authz.edge.grpc.transport import Options, Services, Stream, Transport, Unary

_T = TypeVar("_T")

SERVERS: Mapping[str, ServerType] = {"native": NativeServer, "aio": AioServer}
_used = "native"


@contextmanager
def using(server: str) -> Iterator[None]:
    """Serve by the server of this name in the block."""
    global _used  # noqa: PLW0603 - so that no helper between a test and its server has to hand the name on
    before, _used = _used, server
    try:
        yield
    finally:
        _used = before


class CallHere:
    """The call of a Check whose event loop is the one that runs."""

    async def run_in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run it here."""
        return await work


def server_of(services: Services, options: Options = ()) -> Transport:
    """Return a server of the kind that is used now."""
    return SERVERS[_used](services, options)


@asynccontextmanager
async def serving(
    *,
    unary: Mapping[str, Unary] | None = None,
    streams: Mapping[str, Stream] | None = None,
    credentials: grpc.ServerCredentials | None = None,
    host: str = "127.0.0.1",
    options: Options = (),
    **terms: Any,
) -> AsyncIterator[tuple[Transport, int]]:
    """Serve these methods at a free port; yields the server and the port, and ends at once afterwards."""
    server = server_of(Services(unary=unary or {}, streams=streams or {}, **terms), options)
    port = server.bind(f"{host}:0", credentials)
    await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)

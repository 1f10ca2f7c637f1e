"""The HTTP port: bound before anything is served, and served until the process ends."""

import asyncio
import contextlib
import socket

import uvicorn
from starlette.types import ASGIApp

_BACKLOG = 512
_LAST_RESPONSES = 2
"""Seconds that responses in flight may take once the port closes."""


class BindError(Exception):
    """An address cannot be listened on; the text names it and the cause."""


class Uvicorn(uvicorn.Server):
    """uvicorn without signal handlers: only `ShutdownSignal` ends the process."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as uvicorn declares it
        """Leave signals alone."""
        yield


class HttpPort:
    """The HTTP port of this process."""

    def __init__(self, address: str) -> None:
        """Bind `host:port`; nothing is answered before `begin`.

        Raises:
            BindError: the address cannot be used.
        """
        self._socket = listen(address)
        self._server: Uvicorn | None = None
        self._serving: asyncio.Task[None] | None = None

    def begin(self, application: ASGIApp) -> None:
        """Serve an application."""
        config = uvicorn.Config(
            application,
            log_config=None,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_LAST_RESPONSES,
        )
        self._server = Uvicorn(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))

    async def end(self) -> None:
        """Finish the responses in flight, then close."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving
        self._socket.close()


def listen(address: str) -> socket.socket:
    """Return a socket that listens at `host:port`.

    Raises:
        BindError: the address cannot be used.
    """
    listener = bind(address, "HTTP")
    listener.listen(_BACKLOG)
    return listener


def bind(address: str, what: str, *, shared: bool = False) -> socket.socket:
    """Return a TCP socket bound to `host:port`; `shared` lets other sockets bind the same port.

    Raises:
        BindError: the address cannot be used; the text begins with `what`.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((host.strip("[]"), int(port)))
    except OSError as error:
        bound.close()
        msg = f"{what} cannot listen on {address}: {error.strerror or error}"
        raise BindError(msg) from None
    return bound

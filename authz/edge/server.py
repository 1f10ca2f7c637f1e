"""The life of one worker: bind everything, serve, drain, end.

Nothing is served before everything is bound, so that a wrong address ends the start and not the first request.
gRPC and HTTP share one event loop; a Check never waits for anything in it but the one refetch of an unknown key.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from authz.config.settings import Settings
from authz.edge import ext_authz, ext_proc
from authz.edge.audit import AuditLog
from authz.edge.http import application
from authz.edge.service import Service
from authz.edge.watch import Watcher

DRAIN_SECONDS = 10.0
"""Longest time that calls under way have to finish once the service was told to end."""
_SOCKET_MODE = 0o660
_BACKLOG = 512
_MESSAGE_OVERHEAD = 1_048_576
"""Room in a gRPC message beside the body it carries."""


class BindError(Exception):
    """An address that cannot be listened on; the text names it and the cause."""


@dataclass(frozen=True, slots=True)
class PolicyFile:
    """Where settings come from.

    Attributes:
        path: the file.
        load: reads it; raises ConfigError when it cannot be used.
    """

    path: str
    load: Callable[[], Settings]


class _Web(uvicorn.Server):
    """uvicorn without signal handlers: the worker has one place that ends it."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as uvicorn declares it
        yield


async def serve(
    settings: Settings,
    audit: AuditLog,
    *,
    started: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
    file: PolicyFile | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until `stop` is set.

    Args:
        settings: what to serve by.
        audit: takes a record of every decision; closed by the caller.
        started: called once everything is bound and served.
        stop: ends the service when set.
        file: where the settings come from, to be loaded anew when it changes and on SIGHUP; None for never.

    Raises:
        BindError: an address of the settings cannot be used; nothing was served then.
    """
    stop = stop or _stopped_by_signal()
    service = Service(settings, audit)
    readiness = health.aio.HealthServicer()
    web_socket = _listen(settings.http)
    try:
        server = _grpc_server(service, readiness)
    except BindError:
        web_socket.close()
        raise
    web = _Web(uvicorn.Config(application(service), log_config=None, lifespan="off", server_header=False))
    await service.keys.start()
    await server.start()
    web_task = asyncio.create_task(web.serve(sockets=[web_socket]))
    watching = asyncio.create_task(_watch(file, service))
    await readiness.set("", health_pb2.HealthCheckResponse.SERVING)
    started()
    await stop.wait()
    await readiness.enter_graceful_shutdown()
    await server.stop(DRAIN_SECONDS)
    web.should_exit = True
    await web_task
    watching.cancel()
    await service.keys.close()


async def _watch(file: PolicyFile | None, service: Service) -> None:
    if file is None:
        return
    watcher = Watcher(
        file.path, file.load, service.apply, failed=service.reload_failed, read=service.settings.read
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.poke)
    await watcher.run()


def _stopped_by_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _grpc_server(service: Service, readiness: health.aio.HealthServicer) -> grpc.aio.Server:
    settings = service.settings
    largest = max(settings.max_body, settings.max_list) + _MESSAGE_OVERHEAD
    server = grpc.aio.server(
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.http2.bdp_probe", 0),  # else windows grow to megabytes, held for each slow reader
            ("grpc.max_receive_message_length", largest),
            ("grpc.max_send_message_length", largest),
        ],
    )
    processor = ext_proc.Processor(
        resolve=service.reader,
        observe=service.metrics,
        max_bytes=settings.max_list,
    )
    handlers = (ext_authz.Checker(service).handler(), processor.handler())
    server.add_generic_rpc_handlers(handlers)
    health_pb2_grpc.add_HealthServicer_to_server(readiness, server)
    names = (ext_authz.SERVICE, ext_proc.SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    _bind_grpc(server, settings.grpc)
    return server


def _bind_grpc(server: grpc.aio.Server, address: str) -> None:
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError:
        bound = 0
    if not bound:
        msg = f"gRPC cannot listen on {address}: in use, not permitted, or no such address"
        raise BindError(msg)
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).chmod(_SOCKET_MODE)


def _listen(address: str) -> socket.socket:
    """Bind the HTTP socket, before anything is served."""
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
    except OSError as error:
        listener.close()
        msg = f"HTTP cannot listen on {address}: {error.strerror or error}"
        raise BindError(msg) from None
    listener.listen(_BACKLOG)
    return listener

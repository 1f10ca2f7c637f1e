"""The life of one worker: bind everything, serve, drain, end.

Nothing is served before everything is bound, so that a wrong address ends the start and not the first request.
Checks and rewriters run in the gRPC server's thread (see `edge.grpc.transport`); HTTP, the issuers' keys and the policy file
share the event loop. A Check waits for nothing there but the one refetch of an unknown key.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from authz.config.settings import GrpcTls, Settings
from authz.edge.envoy import ext_authz, ext_proc
from authz.edge.envoy_watch import EnvoyWatch
from authz.edge.grpc.health import SERVICE, Health
from authz.edge.grpc.preload import ServerChoice
from authz.edge.grpc.reflection import Reflection
from authz.edge.grpc.select import UnusableServerError, select
from authz.edge.grpc.socket_path import PREFIX, SocketPath
from authz.edge.grpc.tls import TlsError, credentials
from authz.edge.grpc.transport import Services, Transport
from authz.edge.http.app import application
from authz.edge.http.console.activity import Activity
from authz.edge.http.listener import BindError, HttpPort
from authz.edge.http.status import WorkerReport
from authz.edge.reload import PolicyWatcher, WatchedFile
from authz.edge.service import Service
from authz.edge.shutdown import ShutdownSignal, drain
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.tracing import traceparent
from authz.edge.workers.host import cores

_LOOK_SECONDS = 0.05
SWITCH_SECONDS = 0.0005
"""Longest time that another thread may keep the interpreter while the deciding thread waits for it: a tenth of Python's
default, with which loading a policy would delay every step of every Check."""
_MESSAGE_OVERHEAD = 1_048_576
"""Bytes that a gRPC message may have in addition to the body that it carries."""
CALLS_PER_CORE = 4096
"""Calls of one method that may be under way for each core, unless the policy sets a limit. The rendered clusters let one
Envoy open as many of either kind, so Envoy's own limit is reached first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a process serves as one of several workers.

    Attributes:
        shared: whether the others listen at the same gRPC port.
        hold: seconds to wait for every issuer's keys before a call is taken.
        session_key: random bytes that all workers share; None for a key of this process.
        grpc_server: which gRPC server to use.
    """

    shared: bool = False
    hold: float = 0.0
    session_key: bytes | None = field(default=None, repr=False)
    grpc_server: ServerChoice = ServerChoice.AUTO


SINGLE = WorkerOptions()


class ControlSurface(Protocol):
    """How a process answers questions about itself: over HTTP, or to its supervisor."""

    def begin(self, service: Service, shutdown: ShutdownSignal) -> None:
        """Begin to answer about a service that serves."""

    async def end(self) -> None:
        """Answer what is under way, then close."""


class _HttpControl:
    """The HTTP port of a service of one process."""

    def __init__(self, address: str) -> None:
        self._port = HttpPort(address)
        self._watching: asyncio.Task[None] | None = None

    def begin(self, service: Service, shutdown: ShutdownSignal) -> None:
        report = WorkerReport(service, shutdown)
        activity = Activity()
        watch = EnvoyWatch(report, note=activity.note)
        self._watching = asyncio.create_task(watch.run())
        self._port.begin(application(report, watch, activity))

    async def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        await self._port.end()


async def serve(
    settings: Settings,
    audit: AuditLog,
    *,
    started: Callable[[], None] = lambda: None,
    shutdown: ShutdownSignal | None = None,
    file: WatchedFile | None = None,
    control: ControlSurface | None = None,
    options: WorkerOptions = SINGLE,
) -> None:
    """Serve until SIGTERM or SIGINT, or until `shutdown` is requested.

    Args:
        settings: what to serve by.
        audit: takes a record of every decision; closed by the caller.
        started: called once everything is bound and served.
        shutdown: ends the service; by signals when None.
        file: where the settings come from, to be loaded again when it changes and on SIGHUP; None for never.
        control: answers about the service; the settings' HTTP port when None.
        options: how this process serves as one of several.

    Raises:
        BindError: an address of the settings, or the gRPC server asked for, cannot be used; nothing was served then.
        RuntimeError: gRPC's core failed.
    """
    shutdown = shutdown or ShutdownSignal.by_signals()
    service = Service(settings, audit, session_key=options.session_key)
    health = Health()
    control = control or _HttpControl(settings.http)
    await service.keys.start()
    try:
        # Before the address is bound: from then on connections come, and wait for an answer.
        await _keys(service, options.hold)
        server = await _grpc_server(service, health, options)
    except BindError:
        await service.close()
        await control.end()
        raise
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # what exists now lives as long as the process, so no later collection needs to visit it
    health.say(serving=True)  # as soon as anybody can ask
    await server.start()
    control.begin(service, shutdown)
    watching = asyncio.create_task(_watch(file, service))
    started()
    await _either(shutdown.begun, server.ended)
    failed = server.ended.is_set()
    await drain(server, health, shutdown, service.settings.drain)
    if service.socket is not None:
        service.socket.remove()
    await control.end()
    watching.cancel()
    await service.close()
    if failed:
        msg = "the gRPC server ended by itself"
        raise RuntimeError(msg)


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waiting = [asyncio.create_task(event.wait()) for event in (first, second)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def _keys(service: Service, seconds: float) -> None:
    """Wait until no issuer lacks keys, but no longer than `seconds`."""
    if not seconds:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while service.without_keys():  # noqa: ASYNC110 - once a start, and keys come without an event
                await asyncio.sleep(_LOOK_SECONDS)


async def _watch(file: WatchedFile | None, service: Service) -> None:
    if file is None:
        return
    watcher = PolicyWatcher(
        file.path,
        file.load,
        service.apply,
        failed=service.reload_failed,
        read=service.settings.read,
        span=service.span,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, watcher.reload_now)
    await watcher.run()


async def _grpc_server(service: Service, health: Health, options: WorkerOptions) -> Transport:
    settings = service.settings
    largest = max(settings.max_body, settings.max_list) + _MESSAGE_OVERHEAD
    checker, processor = service.checker(), service.processor()
    reflection = Reflection((ext_authz.SERVICE, ext_proc.SERVICE, SERVICE))
    services = Services(
        unary={**checker.unary, **health.unary},
        streams={**processor.streams, **health.streams, **reflection.streams},
        limit=settings.calls or CALLS_PER_CORE * cores(),
        refused=service.metrics.call_refused,
        metadata="" if service.tracer is None else traceparent.NAME,
    )
    arguments = [
        ("grpc.so_reuseport", int(options.shared)),
        ("grpc.http2.bdp_probe", 0),  # else windows grow to megabytes, held for each slow reader
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", largest),
    ]
    try:
        server = (await select(options.grpc_server))(services, arguments)
    except UnusableServerError as error:
        raise BindError(str(error)) from None
    service.socket = _bind_grpc(server, settings.grpc, settings.tls)
    return server


def _bind_grpc(server: Transport, address: str, tls: GrpcTls | None) -> SocketPath | None:
    """Listen; return the path of a Unix socket."""
    try:
        own = None if tls is None else credentials(tls)
        if address.startswith(PREFIX):
            return SocketPath.listen(Path(address.removeprefix(PREFIX)), lambda at: server.bind(at, own))
        bound = server.bind(address, own)
    except TlsError as error:
        raise BindError(str(error)) from None
    if not bound:
        msg = f"gRPC cannot listen on {address}: in use, not permitted, or no such address"
        raise BindError(msg)
    return None

"""The fast gRPC server: one thread takes each event from gRPC's completion queue and handles it at once.

`grpc.aio` hands every event from a thread of its own to the event loop, and makes a task and several futures for each
call. That costs two to three times what a whole decision costs. Here one thread waits for the core's completion queue, as
grpcio's own synchronous server does, and runs the handler there and then.

The price: it uses names of `grpc._cython.cygrpc`, which are not public. `grpc._server` uses the same ones. They
are used in this module only, they are listed in `NAMES`, and `missing` tells whether this version of grpcio has them.

Rules of this module:

* Handlers, timers and calls belong to the server's thread. Other threads reach it through `post` only.
* No event ends the thread: whatever one event causes, the next one is taken. The thread ends when the server was stopped
  and no call is left, or when gRPC's core fails; either sets `ended`.
* The process's event loop runs in another thread (see `transport` for what that asks of handlers).
* The server is closed under a lock that other threads take too, because the core aborts the process if it is given work
  for a closed queue or a server that is gone.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import grpc
import structlog
from grpc._cython import cygrpc

from authz.edge.grpc.admission import ServedMethod, methods
from authz.edge.grpc.metadata import MetadataReader
from authz.edge.grpc.native_call import NativeCall, Operations
from authz.edge.grpc.timers import Timers
from authz.edge.grpc.transport import LAST_SECONDS, Options, Services
from authz.edge.grpc.turns import Turns

LONGEST_WAIT = 1.0
"""Longest time until timers are looked at again, in seconds: gRPC waits by a clock that may be set back meanwhile."""

_LONG_AGO = 1.0
"""A moment that has certainly passed, in seconds since the epoch."""
_LOOKS = 4
"""How often events are looked for between two slices: from a byte on a socket to an event can take several looks, of 1 µs each."""

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CompletionQueue": ("poll", "shutdown"),
        "CompletionType": ("queue_shutdown", "queue_timeout"),
        "ReceiveCloseOnServerOperation": ("cancelled",),
        "ReceiveMessageOperation": ("message",),
        "SendInitialMetadataOperation": (),
        "SendMessageOperation": (),
        "SendStatusFromServerOperation": (),
        "Server": (
            *("add_http2_port", "cancel_all_calls", "destroy", "register_completion_queue"),
            *("request_call", "shutdown", "start"),
        ),
    }
)
"""The names of `cygrpc` that this server uses, each with the members it uses."""

_LOG = structlog.get_logger("authz.grpc")


def missing(core: Any = cygrpc) -> list[str]:
    """Return the names that this version of grpcio lacks."""
    wanted = [(name, member) for name, members in NAMES.items() for member in ("", *members)]
    return [f"{name}.{member}".strip(".") for name, member in wanted if not _has(core, name, member)]


def _has(core: Any, name: str, member: str) -> bool:
    found = getattr(core, name, None)
    return found is not None and (not member or hasattr(found, member))


class NativeServer:
    """Serves gRPC methods until it is stopped; see `transport.Transport`.

    Attributes:
        operations: what gRPC's core can do for a call.
        timers: timers of the server's thread.
        turns: handlers that gave the thread back.
        loop: the process's event loop.
        ended: set once nothing is served any more.
    """

    def __init__(self, services: Services, options: Options = ()) -> None:
        """Prepare to serve; needs a running event loop."""
        self.operations = Operations(
            receive_message=cygrpc.ReceiveMessageOperation,
            receive_close=cygrpc.ReceiveCloseOnServerOperation,
            send_metadata=cygrpc.SendInitialMetadataOperation,
            send_message=cygrpc.SendMessageOperation,
            send_status=cygrpc.SendStatusFromServerOperation,
        )
        self.timers = Timers()
        self.turns = Turns()
        self.loop = asyncio.get_running_loop()
        self._methods = {name.encode(): method for name, method in methods(services).items()}
        self._read_metadata = MetadataReader(services.metadata).read if services.metadata else None
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._lock = threading.Lock()
        self._calls = 0
        self._stopping = self._stopped = self._closed = False
        self.ended = asyncio.Event()

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen at an address; return the port, 0 if it cannot be used."""
        own = () if credentials is None else (credentials._credentials,)  # noqa: SLF001 - as gRPC's own server does
        bound: int = self._server.add_http2_port(address.encode(), *own)
        return bound

    async def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self._ask()
        threading.Thread(target=self._run, name="grpc", daemon=True).start()

    async def stop(self, grace: float) -> None:
        """Accept no new call, and cancel those under way after `grace` seconds."""
        if not self._stopping:
            self._stopping = True
            with self._lock:  # or the server is gone before it has finished saying that it will be
                self._server.shutdown(self._queue, self._shut_down)
        try:
            await asyncio.wait_for(self.ended.wait(), grace)
        except TimeoutError:
            with self._lock:
                if not self._closed:
                    self._server.cancel_all_calls()
            await self._last()

    async def _last(self) -> None:
        try:
            await asyncio.wait_for(self.ended.wait(), LAST_SECONDS)
        except TimeoutError:
            _LOG.error("gRPC calls do not end", calls=self._calls)

    def post(self, call: Any, act: Callable[[Any], None]) -> None:
        """Have `act` called in the server's thread; from any thread. An empty batch is done at once."""
        with self._lock:
            if not self._closed:
                call.start_server_batch((), act)

    def on_call_done(self, method: ServedMethod | None) -> None:
        """Note that a call has ended."""
        if method is not None:
            method.release()
        self._calls -= 1
        self._close_when_idle()

    def _run(self) -> None:
        closed = cygrpc.CompletionType.queue_shutdown
        try:
            while True:
                event = self._next_event()
                if event.completion_type == closed:
                    break
                self._act(event)
                event = None  # else it keeps its call alive while the next one is awaited
        except Exception as error:  # noqa: BLE001 - nothing is answered any more, which denies; `ended` tells the process
            _LOG.critical("gRPC failed", error=type(error).__name__)
        finally:
            self.loop.call_soon_threadsafe(self.ended.set)

    def _next_event(self) -> Any:
        """Wait for an event, or until something else is due; the event then has no tag."""
        poll = self._queue.poll
        if self.turns:  # empty but for long work, and timers but for streams
            # gRPC rounds a moment that has just come up to its next millisecond, and would wait for that between two slices.
            for _ in range(_LOOKS - 1):
                event = poll(_LONG_AGO)
                if event.completion_type != cygrpc.CompletionType.queue_timeout:
                    return event
            return poll(_LONG_AGO)
        wait = self.timers.wait() if self.timers else None
        return poll(None if wait is None else time.time() + min(wait, LONGEST_WAIT))

    def _act(self, event: Any) -> None:
        """Do what follows from an event, and what is due."""
        try:
            if event.tag is not None:
                event.tag(event)
            if self.timers:
                self.timers.run()
            if self.turns:
                self.turns.run(idle=event.tag is None)
        except Exception as error:  # noqa: BLE001 - the call that failed gets no answer, which denies; the others go on
            _LOG.error("gRPC event failed", error=type(error).__name__)

    def _ask(self) -> None:
        """Ask for the next call."""
        with contextlib.suppress(ValueError):  # the server is being stopped
            self._server.request_call(self._queue, self._queue, self._begin)

    def _begin(self, event: Any) -> None:
        """Begin a call."""
        if not event.success:  # the server is being stopped
            return
        self._ask()
        self._calls += 1
        method = self._methods.get(event.call_details.method)
        if method is None:
            NativeCall(self, event.call, None).end(grpc.StatusCode.UNIMPLEMENTED)
        elif not method.admit():
            NativeCall(self, event.call, None).end(grpc.StatusCode.RESOURCE_EXHAUSTED)
        else:
            self._serve(NativeCall(self, event.call, method), method, event)

    def _serve(self, call: NativeCall, method: ServedMethod, event: Any) -> None:
        if self._read_metadata is not None:
            call.metadata = self._read_metadata(event.invocation_metadata)
        if method.unary is not None:
            call.serve_unary(method.unary)
        elif method.stream is not None:
            call.serve_stream(method.stream)

    def _shut_down(self, _event: Any) -> None:
        self._stopped = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._stopped and not self._calls:
            with self._lock:
                self._closed = True
                self._server.destroy()
                self._queue.shutdown()

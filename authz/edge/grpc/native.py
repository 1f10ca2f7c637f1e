"""The gRPC server: one thread that takes what gRPC's core has done, and does on the spot what follows.

`grpc.aio` hands every event from a thread of its own to the event loop, and makes a task and several futures of each call.
That costs two to three times what a whole decision costs. Here one thread waits for the core's completion queue, as gRPC's
own synchronous server does, and runs the handler there and then. It stands on the same few names of `grpc._cython.cygrpc`
as that server (`grpc._server`); they are not public, so a test names them, and the versions that were tested are pinned.

Rules of this module:

* Handlers, timers and calls belong to the server's thread. Other threads reach it by `wake` only.
* No event ends the thread: whatever one does, the next one is taken. It ends when the server was stopped and no call is
  left, or when gRPC's core fails, and then the process is told.
* The process's event loop runs beside it, in another thread. The two share what is never changed, or changed by one
  assignment; see `service`.
* The end is made under a lock that other threads' uses take too, since the core aborts the process when a closed queue or
  a server that is gone gets more to do.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import grpc
import structlog
from grpc._cython import cygrpc

from authz.edge.grpc.rpc import Rpc
from authz.edge.grpc.timers import Timers

Unary = Callable[[bytes, Rpc], Coroutine[Any, Any, bytes]]
"""Makes an answer of a message."""
Stream = Callable[[Rpc], Coroutine[Any, Any, None]]
"""Reads and writes until it returns."""

LAST_SECONDS = 5.0
"""Longest time that calls which were cancelled may take to be over."""

LONGEST_WAIT = 1.0
"""Seconds after which timers are looked at again at the latest: gRPC waits by a clock that may be set back meanwhile."""

_LOG = structlog.get_logger("authz.rpc")


class RpcServer:
    """Serves methods of gRPC until it is stopped.

    Attributes:
        timers: those of the server's thread.
        loop: the process's event loop.
        ended: set once nothing is served any more.
    """

    def __init__(
        self,
        *,
        unary: Mapping[str, Unary],
        streams: Mapping[str, Stream],
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Prepare to serve methods by their full names, `/package.Service/Method`; needs a running event loop.

        Args:
            unary: those of one message and one answer.
            streams: those that read and write as they like.
            options: gRPC's channel arguments.
        """
        self.timers = Timers()
        self.loop = asyncio.get_running_loop()
        self._unary = {name.encode(): handler for name, handler in unary.items()}
        self._streams = {name.encode(): handler for name, handler in streams.items()}
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(tuple(options), False)
        self._server.register_completion_queue(self._queue)
        self._lock = threading.Lock()
        self._calls = 0
        self._stopping = self._stopped = self._closed = False
        self.ended = asyncio.Event()

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen at `unix:/path` or `host:port`, in plain text without credentials.

        Returns:
            The port, 1 for a path, 0 where the address cannot be used.
        """
        own = () if credentials is None else (credentials._credentials,)  # noqa: SLF001 - as gRPC's own server does
        bound: int = self._server.add_http2_port(address.encode(), *own)
        return bound

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()
        self._ask()
        threading.Thread(target=self._run, name="grpc", daemon=True).start()

    async def stop(self, grace: float) -> None:
        """Take no new call, and cancel those under way after so many seconds; may be called again, with less."""
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

    def wake(self, call: Any, tell: Callable[[Any], None]) -> None:
        """Have `tell` called in the server's thread; from any thread. A batch of nothing is done at once."""
        with self._lock:
            if not self._closed:
                call.start_server_batch((), tell)

    def over(self) -> None:
        """Take note that a call has ended."""
        self._calls -= 1
        self._close_when_idle()

    def _run(self) -> None:
        poll, over = self._queue.poll, cygrpc.CompletionType.queue_shutdown
        try:
            while True:
                wait = self.timers.wait()
                event = poll(None if wait is None else time.time() + min(wait, LONGEST_WAIT))
                if event.completion_type == over:
                    break
                self._act(event)
                event = None  # else it keeps its call while the next one is awaited
        except Exception as error:  # noqa: BLE001 - nothing is answered any more, which denies; whoever waits for it ends
            _LOG.critical("gRPC failed", error=type(error).__name__)
        finally:
            self.loop.call_soon_threadsafe(self.ended.set)

    def _act(self, event: Any) -> None:
        """Do what follows from an event, and what is due."""
        try:
            if event.tag is not None:
                event.tag(event)
            self.timers.run()
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
        name, rpc = event.call_details.method, Rpc(self, event.call)
        if (unary := self._unary.get(name)) is not None:
            rpc.serve_unary(unary)
        elif (stream := self._streams.get(name)) is not None:
            rpc.serve_stream(stream)
        else:
            rpc.end(grpc.StatusCode.UNIMPLEMENTED)

    def _shut_down(self, _event: Any) -> None:
        self._stopped = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._stopped and not self._calls:
            with self._lock:
                self._closed = True
                self._server.destroy()
                self._queue.shutdown()

"""One call of the native server: a coroutine that no event loop runs, driven by the events of gRPC's core.

The server's thread resumes the handler on the spot, whenever what it waits for has come, so a call costs no task, no
future and no switch of threads. This module knows no name of gRPC's core: the server hands in the few `Operations` that
a call is made of.

Rules of this module:

* Everything but `wake` belongs to the server's thread.
* A handler suspends only in `_suspended`, which yields `_OURS`. If anything else is yielded, it awaits something of an event
  loop that is not there; it would stay suspended for ever and its call with it. So it is closed and the call fails.
* While the handler does not read, one message is kept, which holds back the client until it is taken, and one wake-up.
* That a call has ended shows in the operation for which its handler waits, since it fails then. Only a handler that waits
  for something else has the end watched (`_watch`), which costs an operation of its own.
* A call is done when its status is sent, or its handler has left after the client did. Only then may the server close.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import grpc
import structlog

from authz.edge.grpc.admission import ServedMethod
from authz.edge.grpc.timers import Timer, Timers
from authz.edge.grpc.transport import WOKEN, CallCancelled, RpcAbort, Stream, Unary, Woken
from authz.edge.grpc.turns import Turns

_T = TypeVar("_T")
_LOG = structlog.get_logger("authz.grpc")
_PLAIN = 0
"""No flags of gRPC's operations."""
_OURS = object()
"""What a handler yields that waits for its call."""


class ForeignAwait(Exception):  # noqa: N818 - its name is what the log shows
    """A handler awaited something that is not its call's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The operations of gRPC's core that a call is made of, as functions that return one."""

    receive_message: Callable[[int], Any]
    receive_close: Callable[[int], Any]
    send_metadata: Callable[[None, int], Any]
    send_message: Callable[[bytes, int], Any]
    send_status: Callable[[None, int, bytes, int], Any]


class CallHost(Protocol):
    """The server of a call.

    Attributes:
        operations: what gRPC's core can do for a call.
        timers: timers of the server's thread.
        turns: handlers that gave the thread back.
        loop: the process's event loop.
    """

    operations: Operations
    timers: Timers
    turns: Turns
    loop: asyncio.AbstractEventLoop

    def post(self, call: Any, act: Callable[[Any], None]) -> None:
        """Have `act` called in the server's thread; from any thread."""

    def on_call_done(self, method: ServedMethod | None) -> None:
        """Note that a call has ended, and which method admitted it."""


@types.coroutine
def _suspended() -> Generator[object, Any, Any]:
    """Wait until the call resumes its handler, and return what it brings."""
    return (yield _OURS)


class NativeCall:
    """One call; `metadata` is set by the server, where it has a value."""

    __slots__ = (
        "_asked",
        "_call",
        "_ended",
        "_handler",
        "_host",
        "_kept",
        "_method",
        "_ops",
        "_started",
        "_timer",
        "_wants",
        "_watched",
        "_woken",
        "metadata",
    )

    def __init__(self, host: CallHost, call: Any, method: ServedMethod | None) -> None:
        """Belong to a server; `call` is gRPC's own, `method` the one that admitted it."""
        self._host = host
        self._call = call
        self._method = method
        self._ops = host.operations
        self.metadata: str | None = None
        self._handler: Coroutine[Any, Any, bytes | None] | None = None
        self._timer: Timer | None = None
        self._kept: tuple[bytes | None] | None = None  # a message that came while the handler was not reading
        self._asked = False  # a message is on its way
        self._ended = False  # the client sends no more
        self._wants = False  # the handler waits in `read`
        self._woken = False
        self._started = False  # something was sent
        self._watched = False  # `_closed` will be called when the call has ended

    async def read(self) -> bytes | Woken | None:
        """Return the next message, WOKEN or None; see `transport.Call`."""
        if self._woken:
            self._woken = False
            return WOKEN
        if self._kept is not None:
            (message,), self._kept = self._kept, None
            return message
        if self._ended:
            self._watch()
        elif not self._asked:
            self._asked = True
            self._call.start_server_batch((self._ops.receive_message(_PLAIN),), self._received)
        self._wants = True
        got: bytes | Woken | None = await _suspended()
        return got

    async def write(self, message: bytes) -> None:
        """Send a message; see `transport.Call`."""
        self._call.start_server_batch((*self._head(), self._ops.send_message(message, _PLAIN)), self._written)
        await _suspended()

    async def pause(self) -> None:
        """Let other calls be served; see `transport.Call`."""
        self._watch()
        self._host.turns.wait(self._resumed)
        await _suspended()

    def _resumed(self) -> None:
        self._resume(None)

    async def run_in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the process's event loop; see `transport.Call`."""
        self._watch()
        future = asyncio.run_coroutine_threadsafe(work, self._host.loop)
        future.add_done_callback(lambda _: self._host.post(self._call, lambda _: self._resume(None)))
        try:
            await _suspended()
        except CallCancelled:
            future.cancel()
            raise
        return future.result()

    def wake_after(self, seconds: float) -> None:
        """Wake the handler once, later; see `transport.Call`."""
        self._call_off_timer()
        self._timer = self._host.timers.after(seconds, self._wake)

    def wake(self) -> None:
        """Wake the handler; from any thread."""
        self._host.post(self._call, lambda _: self._wake())

    def serve_unary(self, handler: Unary) -> None:
        """Take one message, and send what `handler` makes of it."""

        def received(event: Any) -> None:
            message = event.batch_operations[0].message()
            if message is None:
                self.end(grpc.StatusCode.INTERNAL)
            else:
                self._handler = handler(message, self)
                self._resume(None)

        self._call.start_server_batch((self._ops.receive_message(_PLAIN),), received)

    def serve_stream(self, handler: Stream) -> None:
        """Let `handler` read and write as it likes."""
        self._handler = handler(self)
        self._resume(None)

    def end(self, code: grpc.StatusCode, message: bytes | None = None) -> None:
        """Send a last message, if any, and the status."""
        self._forget()
        send = () if message is None else (self._ops.send_message(message, _PLAIN),)
        status = self._ops.send_status(None, code._value_[0], b"", _PLAIN)
        watch = () if self._watched else (self._ops.receive_close(_PLAIN),)
        self._call.start_server_batch((*self._head(), *send, status, *watch), self._done)

    def _done(self, _event: Any = None) -> None:
        self._host.on_call_done(self._method)

    def _watch(self) -> None:
        """Have `_closed` called when the call has ended, however it does."""
        if not self._watched:
            self._watched = True
            self._call.start_server_batch((self._ops.receive_close(_PLAIN),), self._closed)

    def _head(self) -> tuple[Any, ...]:
        """Return the operations that go before the first message or status."""
        if self._started:
            return ()
        self._started = True
        return (self._ops.send_metadata(None, _PLAIN),)

    def _received(self, event: Any) -> None:
        message = event.batch_operations[0].message()
        self._asked, self._ended = False, message is None
        if self._wants:
            self._wants = False
            self._resume(message)
        else:
            self._kept = (message,)

    def _written(self, event: Any) -> None:
        if event.success:
            self._resume(None)
        else:
            self._leave()

    def _wake(self) -> None:
        if self._wants:
            self._wants = False
            self._resume(WOKEN)
        else:
            self._woken = True

    def _closed(self, event: Any) -> None:
        if event.batch_operations[0].cancelled():
            self._leave()

    def _resume(self, value: Any) -> None:
        """Run the handler until it waits again; does nothing if it has ended."""
        handler = self._handler
        if handler is None:
            return
        try:
            if handler.send(value) is not _OURS:
                handler.close()
                raise ForeignAwait  # noqa: TRY301 - ends as any other failure of the handler
        except StopIteration as done:
            self.end(grpc.StatusCode.OK, done.value)
        except RpcAbort as abort:
            self.end(abort.code)
        except (Exception, CallCancelled) as error:  # noqa: BLE001 - whatever went wrong, only this call fails
            _LOG.error("call failed", error=type(error).__name__)
            self.end(grpc.StatusCode.INTERNAL)

    def _leave(self) -> None:
        """Raise `CallCancelled` where the handler waits; the call is done only after that."""
        handler = self._handler
        if handler is None:
            return
        self._forget()
        try:
            handler.throw(CallCancelled())
            handler.close()  # it waits again, which nothing will end
        except (CallCancelled, StopIteration):
            pass
        except Exception as error:  # noqa: BLE001 - the call is over, whatever the handler does now
            _LOG.error("call failed", error=type(error).__name__)
        finally:
            self._done()

    def _forget(self) -> None:
        self._handler = None
        self._call_off_timer()

    def _call_off_timer(self) -> None:
        if self._timer is not None:
            self._host.timers.call_off(self._timer)
            self._timer = None

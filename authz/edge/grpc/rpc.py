"""One gRPC call, and the coroutine that handles it.

Handlers are coroutines, but no event loop runs them: the thread of the server does, on the spot, whenever something that
they wait for has come (see `rpcserver`). So a handler awaits nothing but what an `Rpc` offers, and what it does between is
done by one thread, one thing at a time. What needs the process's event loop goes through `elsewhere`.

Rules of this module:

* A handler waits for one thing at a time. What comes while it waits for another is kept: one message, which holds back the
  client until it is taken, and one nudge.
* A handler that returns ends its call well; one that raises ends it with an error, which Envoy takes for a denial or for a
  failed response. Whatever one call does, the others go on.
* A handler whose client has gone is told so where it waits, by `Gone`, and nothing is sent any more.
* `nudge` is for any thread; everything else is for the server's own.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeVar

import grpc
import structlog
from grpc._cython import cygrpc

from authz.edge.grpc.timers import Timer, Timers

_T = TypeVar("_T")
_LOG = structlog.get_logger("authz.rpc")
_PLAIN = 0
"""No flags of gRPC's operations."""


class _Nudge(Enum):
    NUDGED = "nudged"


Nudged = Literal[_Nudge.NUDGED]
NUDGED: Final = _Nudge.NUDGED
"""What is read when somebody nudged."""


class Gone(Exception):  # noqa: N818 - what has happened, and no error
    """The client is gone, or the call was cut."""


class Refuse(Exception):  # noqa: N818 - an order to the server
    """Ends a call with a status other than OK."""

    def __init__(self, code: grpc.StatusCode) -> None:
        """Refuse with this code."""
        super().__init__(code.name)
        self.code = code


class Home(Protocol):
    """The server that a call belongs to.

    Attributes:
        timers: those of the server's thread.
        loop: the process's event loop.
    """

    timers: Timers
    loop: asyncio.AbstractEventLoop

    def wake(self, call: Any, tell: Callable[[Any], None]) -> None:
        """Have `tell` called in the server's thread; from any thread."""

    def over(self) -> None:
        """Take note that a call has ended."""


@types.coroutine
def _suspended() -> Generator[None, Any, Any]:
    """Wait until the call resumes its handler; give what it brings."""
    return (yield)


class Rpc:
    """One call."""

    __slots__ = (
        "_asked",
        "_call",
        "_ended",
        "_handler",
        "_home",
        "_kept",
        "_nudged",
        "_started",
        "_timer",
        "_wants",
        "_watched",
    )

    def __init__(self, home: Home, call: Any) -> None:
        """Belong to a server; `call` is gRPC's own."""
        self._home = home
        self._call = call
        self._handler: Coroutine[Any, Any, bytes | None] | None = None
        self._timer: Timer | None = None
        self._kept: tuple[bytes | None] | None = None  # what came while the handler did not want it
        self._asked = False  # a message is on its way
        self._ended = False  # the client sends no more
        self._wants = False  # the handler waits in `read`
        self._nudged = False
        self._started = False  # something was sent
        self._watched = False  # the end of the call will be told

    async def read(self) -> bytes | Nudged | None:
        """Give the next message, None once the client sends nothing more (it may have gone), or NUDGED.

        Raises:
            Gone: nobody is there any more.
        """
        if self._nudged:
            self._nudged = False
            return NUDGED
        if self._kept is not None:
            (message,), self._kept = self._kept, None
            return message
        if not self._asked and not self._ended:
            self._asked = True
            self._call.start_server_batch((cygrpc.ReceiveMessageOperation(_PLAIN),), self._received)
        self._wants = True
        got: bytes | Nudged | None = await _suspended()
        return got

    async def write(self, message: bytes) -> None:
        """Send a message, and wait until it is on its way, which is as long as the client takes no more.

        Raises:
            Gone: nobody is there any more.
        """
        self._call.start_server_batch(
            (*self._head(), cygrpc.SendMessageOperation(message, _PLAIN)), self._written
        )
        await _suspended()

    async def elsewhere(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Let the process's event loop do something, and wait for what comes of it.

        Raises:
            Gone: nobody is there any more; what is done elsewhere is called off.
        """
        self._watch()
        future = asyncio.run_coroutine_threadsafe(work, self._home.loop)
        future.add_done_callback(lambda _: self._home.wake(self._call, lambda _: self._resume(None)))
        try:
            await _suspended()
        except Gone:
            future.cancel()
            raise
        return future.result()

    def nudge_after(self, seconds: float) -> None:
        """Nudge once, so many seconds from now, unless the call has ended by then."""
        self._timer = self._home.timers.after(seconds, self._nudge)

    def nudge(self) -> None:
        """Have the handler read NUDGED next; from any thread."""
        self._home.wake(self._call, lambda _: self._nudge())

    def serve_unary(self, handler: Callable[[bytes, "Rpc"], Coroutine[Any, Any, bytes]]) -> None:
        """Take one message, and answer it with what `handler` makes of it."""

        def asked(event: Any) -> None:
            message = event.batch_operations[0].message()
            if message is None:
                self.end(grpc.StatusCode.INTERNAL)
            else:
                self._handler = handler(message, self)
                self._resume(None)

        self._call.start_server_batch((cygrpc.ReceiveMessageOperation(_PLAIN),), asked)

    def serve_stream(self, handler: Callable[["Rpc"], Coroutine[Any, Any, None]]) -> None:
        """Let `handler` read and write as it likes."""
        self._watch()
        self._handler = handler(self)
        self._resume(None)

    def end(self, code: grpc.StatusCode, message: bytes | None = None) -> None:
        """Send a last message, if any, and the status."""
        self._forget()
        send = () if message is None else (cygrpc.SendMessageOperation(message, _PLAIN),)
        status = cygrpc.SendStatusFromServerOperation(None, code.value[0], b"", _PLAIN)
        watch = () if self._watched else (cygrpc.ReceiveCloseOnServerOperation(_PLAIN),)
        self._call.start_server_batch((*self._head(), *send, status, *watch), lambda _: self._home.over())

    def _watch(self) -> None:
        """Have `_closed` told when the call has ended, however it does."""
        if not self._watched:
            self._watched = True
            self._call.start_server_batch((cygrpc.ReceiveCloseOnServerOperation(_PLAIN),), self._closed)

    def _head(self) -> tuple[Any, ...]:
        """Give what goes before whatever is sent first."""
        if self._started:
            return ()
        self._started = True
        return (cygrpc.SendInitialMetadataOperation(None, _PLAIN),)

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

    def _nudge(self) -> None:
        if self._wants:
            self._wants = False
            self._resume(NUDGED)
        else:
            self._nudged = True

    def _closed(self, event: Any) -> None:
        if event.batch_operations[0].cancelled():
            self._leave()

    def _resume(self, value: Any) -> None:
        """Let the handler go on until it waits again; one that has ended no longer cares."""
        handler = self._handler
        if handler is None:
            return
        try:
            handler.send(value)
        except StopIteration as done:
            self.end(grpc.StatusCode.OK, done.value)
        except Refuse as refusal:
            self.end(refusal.code)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, this call fails and no other
            _LOG.error("call failed", error=type(error).__name__)
            self.end(grpc.StatusCode.INTERNAL)

    def _leave(self) -> None:
        """Tell the handler, where it waits, that nobody is there any more; only then is the call over."""
        handler = self._handler
        if handler is None:
            return
        self._forget()
        try:
            handler.throw(Gone())
            handler.close()
        except (Gone, StopIteration):
            pass
        except Exception as error:  # noqa: BLE001 - the call is over, whatever it does now
            _LOG.error("call failed", error=type(error).__name__)
        finally:
            self._home.over()

    def _forget(self) -> None:
        self._handler = None
        if self._timer is not None:
            self._home.timers.call_off(self._timer)
            self._timer = None

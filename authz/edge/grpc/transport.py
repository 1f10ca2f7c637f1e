"""What a handler may use of gRPC: the one interface over two servers.

`native.py` takes events from gRPC's core by names of grpcio that are not public; it costs a third of the other.
`aio.py` uses the public `grpc.aio`. `select.py` chooses between them when the service starts. Handlers (ext_authz,
ext_proc, health, reflection) import this module only and cannot tell which server runs them.

What a handler is:

* A coroutine function. A `Unary` handler gets the one message of its call and returns the answer. A `Stream` handler reads
  and writes through its `Call` until it returns; what it returns is its last message, sent with the end of the call.
* One that returns ends its call with OK. `RpcAbort` ends the call with the status that it names. Any other exception ends
  it with INTERNAL and is logged by type only, because its text may quote a message. No call affects another.

Threads:

* All handlers of a server run in one thread, one step at a time: a thread of its own in `native`, the event loop's in
  `aio`. Between two awaits no other handler runs, so state that only handlers touch needs no lock.
* State that the event loop touches too (policy, keys, metrics) must be replaced by one assignment or only read: it may be
  another thread. What needs the event loop goes through `Call.run_in_loop`.
* Only `Call.wake` may be called from any thread. Everything else belongs to the handler.

Waiting:

* A handler awaits nothing but the methods of its `Call`. In `native` no event loop runs it, so it would never be resumed
  after `asyncio.sleep(0)` or a future; `native` ends such a call at once, with INTERNAL.
* It waits for one thing at a time. One message and one wake-up that come meanwhile are kept for the next `read`; further
  messages wait in the client, and further wake-ups merge into one.
* `pause` waits for nothing. A handler that works for long calls it again and again, and gets at most half of the thread
  while other calls have something to do.
* `wake` and `wake_after` make the next `read`, or the one that is waiting, return WOKEN. A message is never lost by it.

The end:

* If the client goes away, the server cuts the call, or a message cannot be sent, what the handler awaits raises
  `CallCancelled`. The handler lets it pass, after cleaning up: nothing can be sent, and a second await is the last.
* After the client's last message `read` returns None. A client that went away may look like that first.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeVar

import grpc

_T = TypeVar("_T")

LAST_SECONDS = 5.0
"""Longest time that `Transport.stop` waits for calls to end once they were cancelled."""

Options = Sequence[tuple[str, Any]]
"""Channel arguments of gRPC's core."""


class _Wake(Enum):
    WOKEN = "woken"


Woken = Literal[_Wake.WOKEN]
WOKEN: Final = _Wake.WOKEN
"""What `read` returns instead of a message after a wake-up."""


class CallCancelled(BaseException):
    """The call is over although its handler is not: the client went away, or the server stops.

    Not an `Exception`, as `asyncio.CancelledError` is not: a handler that turns every failure into an answer must not take
    a client that hung up for a failure.
    """


class RpcAbort(Exception):  # noqa: N818 - an order to the server
    """Ends a call with a status other than OK."""

    def __init__(self, code: grpc.StatusCode) -> None:
        """End the call with this code."""
        super().__init__(code.name)
        self.code = code


class Call(Protocol):
    """One call, as its handler sees it."""

    @property
    def metadata(self) -> str | None:
        """What the client sent with the call under the name that `Services.metadata` gives; None if nothing."""

    async def read(self) -> bytes | Woken | None:
        """Return the next message, WOKEN after a wake-up, or None once the client sends nothing more.

        Raises:
            CallCancelled: the call is over.
        """

    async def write(self, message: bytes) -> None:
        """Send a message, and wait until gRPC has taken it, which is as long as the client's window is full.

        Raises:
            CallCancelled: the call is over.
        """

    async def pause(self) -> None:
        """Let other calls be served, then go on: between two slices of long work, each of a few milliseconds.

        Raises:
            CallCancelled: the call is over.
        """

    async def run_in_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the process's event loop, and return or raise what it does.

        Raises:
            CallCancelled: the call is over; the coroutine was cancelled.
        """

    def wake_after(self, seconds: float) -> None:
        """Wake the handler once, `seconds` from now, unless the call has ended by then. A later call replaces this one."""

    def wake(self) -> None:
        """Wake the handler; from any thread. Does nothing once the call has ended."""


Unary = Callable[[bytes, Call], Coroutine[Any, Any, bytes]]
"""Turns the message of a call into its answer."""
Stream = Callable[[Call], Coroutine[Any, Any, bytes | None]]
"""Reads and writes until it returns its last message, None for none."""


def _count_nothing(_name: str) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What a server serves, and how much of it at once.

    Attributes:
        unary: handlers of one message and one answer, by full name, `/package.Service/Method`.
        streams: handlers that read and write as they like, by full name.
        limit: calls of one method that may be under way at once; more are answered RESOURCE_EXHAUSTED.
        refused: is told the method's name for each call beyond the limit, in the handlers' thread.
        metadata: the name in calls' metadata whose value handlers read, empty for none.
    """

    unary: Mapping[str, Unary]
    streams: Mapping[str, Stream]
    limit: int = 4096
    refused: Callable[[str], None] = _count_nothing
    metadata: str = ""


class Transport(Protocol):
    """A gRPC server, made from `Services` and `Options` while an event loop runs; its methods belong to that loop.

    Attributes:
        ended: set once nothing is served any more, whether it was stopped or gRPC failed.
    """

    ended: asyncio.Event

    def bind(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen at `unix:/path` or `host:port`, in plain text without credentials.

        Returns:
            The port, 1 for a path, 0 if the address cannot be used.
        """

    async def start(self) -> None:
        """Begin to serve."""

    async def stop(self, grace: float) -> None:
        """Accept no new call, and cancel those under way after `grace` seconds; a second call may shorten the grace."""

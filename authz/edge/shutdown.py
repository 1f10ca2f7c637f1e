"""How a process that serves gRPC ends: it announces the end, then finishes the calls under way, within a limit.

Rules of this module:

* Health says NOT_SERVING for the grace, while every call is still answered: Envoy checks health at an interval, and turns
  to another endpoint only after it has.
* A worker that leaves while others share its port does not change its health: Envoy would take its answer for all of them.
  Its connections are told to go away (GOAWAY), and the next one reaches another worker.
* Calls that are under way when the limit is over are cancelled, which Envoy answers with an error.
* A second request ends grace and limit.
"""

import asyncio
import contextlib
import signal
from typing import Protocol, Self

from authz.config.settings import Drain


class ShutdownSignal:
    """The request that this process ends.

    Attributes:
        begun: set once the end is requested.
        at_once: set once it is requested again.
        quietly: whether other workers keep serving at the same address.
    """

    def __init__(self) -> None:
        """Begin with no end requested."""
        self.begun = asyncio.Event()
        self.at_once = asyncio.Event()
        self.quietly = False

    @classmethod
    def by_signals(cls, *, quietly: bool = False) -> Self:
        """Request the end on SIGTERM and SIGINT."""
        shutdown, loop = cls(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: shutdown.request(quietly=quietly))
        return shutdown

    def request(self, *, quietly: bool = False) -> None:
        """Begin to end; if that has begun, end at once."""
        if self.begun.is_set():
            self.at_once.set()
            return
        self.quietly = quietly
        self.begun.set()

    async def pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until told to end at once."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.at_once.wait(), seconds)


class StoppableServer(Protocol):
    """The server to end."""

    async def stop(self, grace: float) -> None:
        """Take no new call, and cancel those under way after `grace` seconds."""


class HealthSwitch(Protocol):
    """The health service that Envoy asks."""

    def say(self, *, serving: bool) -> None:
        """Report from now on whether calls are served."""


async def drain(
    server: StoppableServer, health: HealthSwitch, shutdown: ShutdownSignal, terms: Drain
) -> None:
    """End a server whose shutdown has begun."""
    if not shutdown.quietly:
        health.say(serving=False)
        await shutdown.pause(terms.grace)
    stopping = asyncio.create_task(server.stop(terms.limit))
    at_once = asyncio.create_task(shutdown.at_once.wait())
    await asyncio.wait({stopping, at_once}, return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if not stopping.done():
        await server.stop(0)
    await stopping

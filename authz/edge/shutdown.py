"""How a process that serves gRPC ends: first it says so, then it finishes what is under way, within a limit.

Rules of this module:

* Health says NOT_SERVING while every call is still answered, for the grace: Envoy asks at an interval, and only after it
  has asked does it turn to another endpoint.
* A worker that leaves while others share its port says nothing: Envoy would take its word for all of them. Connections
  are told to go (GOAWAY), and the next one reaches another worker.
* Calls that are under way when the limit is over are cancelled, which Envoy answers with an error.
* Whoever tells twice means it: the second word ends grace and limit.
"""

import asyncio
import contextlib
import signal
from typing import Protocol, Self

from authz.config.settings import Drain


class ShutdownSignal:
    """Whether the process was told to end.

    Attributes:
        begun: it was.
        at_once: it was told again.
        quietly: others go on under the same address.
    """

    def __init__(self) -> None:
        """Begin as one that was not told."""
        self.begun = asyncio.Event()
        self.at_once = asyncio.Event()
        self.quietly = False

    @classmethod
    def by_signals(cls, *, quietly: bool = False) -> Self:
        """Listen to SIGTERM and SIGINT."""
        ending, loop = cls(), asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: ending.tell(quietly=quietly))
        return ending

    def tell(self, *, quietly: bool = False) -> None:
        """Begin to end, or make haste."""
        if self.begun.is_set():
            self.at_once.set()
            return
        self.quietly = quietly
        self.begun.set()

    async def hurried(self, seconds: float) -> None:
        """Wait so long, or until told again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.at_once.wait(), seconds)


class StoppableServer(Protocol):
    """What is ended."""

    async def stop(self, grace: float) -> None:
        """Take no new call, and cancel those under way after so many seconds."""


class HealthSwitch(Protocol):
    """What tells Envoy."""

    def say(self, *, serving: bool) -> None:
        """Say from now on that calls are served, or that none should come."""


async def drain(server: StoppableServer, health: HealthSwitch, ending: ShutdownSignal, terms: Drain) -> None:
    """End a server that was told to end."""
    if not ending.quietly:
        health.say(serving=False)
        await ending.hurried(terms.grace)
    stopping = asyncio.create_task(server.stop(terms.limit))
    hurry = asyncio.create_task(ending.at_once.wait())
    await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not stopping.done():
        await server.stop(0)
    await stopping

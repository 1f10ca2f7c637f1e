"""One thing to be done later on the event loop, unless it is called off before."""

import asyncio
from collections.abc import Awaitable, Callable


class Delayed:
    """A timer, and a task from the moment it runs out: while it runs nothing but the timer exists."""

    def __init__(self, seconds: float, act: Callable[[], Awaitable[None]]) -> None:
        """Call `act` once, `seconds` from now; needs a running loop."""
        self._act = act
        self._task: asyncio.Future[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(seconds, self._begin)

    def call_off(self) -> None:
        """Do nothing any more; what has begun is cancelled."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._task = asyncio.ensure_future(self._act())
        self._task.add_done_callback(_look)


def _look(task: asyncio.Future[None]) -> None:
    """Take what came of the task: that a call ended meanwhile is no news."""
    if not task.cancelled():
        task.exception()

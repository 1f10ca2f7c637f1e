"""Timers of the native server's thread, which has no event loop: a heap that the thread looks at between events."""

import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush

_MANY = 64
"""Cancelled timers are removed once there are this many and they are the majority: most are cancelled long before they are
due, and each keeps its call alive."""


class Timer:
    """An action that runs at a moment of the monotonic clock, unless it is cancelled first."""

    __slots__ = ("act", "at")

    def __init__(self, at: float, act: Callable[[], None]) -> None:
        """Do `act` at the moment `at`."""
        self.at = at
        self.act: Callable[[], None] | None = act

    def __lt__(self, other: "Timer") -> bool:
        """Order by time."""
        return self.at < other.at


class Timers(list[Timer]):
    """The timers of one thread, a heap, with some that were cancelled; no other thread may touch them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the time from `clock`, in seconds."""
        super().__init__()
        self._clock = clock
        self._off = 0

    def after(self, seconds: float, act: Callable[[], None]) -> Timer:
        """Do something `seconds` from now."""
        timer = Timer(self._clock() + seconds, act)
        heappush(self, timer)
        return timer

    def call_off(self, timer: Timer) -> None:
        """Cancel a timer; does nothing if it has run."""
        if timer.act is None:
            return
        timer.act = None
        self._off += 1
        if self._off >= _MANY and 2 * self._off > len(self):
            self[:] = [kept for kept in self if kept.act is not None]
            heapify(self)
            self._off = 0

    def wait(self) -> float | None:
        """Return the seconds until the next timer is due, at least 0; None if there is none."""
        return max(0.0, self[0].at - self._clock()) if self else None

    def run(self) -> None:
        """Run the timers that are due."""
        now = self._clock()
        while self and self[0].at <= now:
            timer = heappop(self)
            act, timer.act = timer.act, None
            if act is None:
                self._off -= 1
            else:
                act()

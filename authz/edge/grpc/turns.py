"""Handlers of the native server that gave the thread back in the middle of long work, and when they get it again.

Rules of this module:

* They go on in the order in which they came, one slice at a time.
* While gRPC's core has other events they wait for as long as the last slice took, so that they have half of the thread
  at most and never nothing. When there is no other event, one goes on at once.
"""

import time
from collections import deque
from collections.abc import Callable


class Turns:
    """The handlers of one thread that wait for their turn; no other thread may touch them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the time from `clock`, in seconds."""
        self._clock = clock
        self._waiting: deque[Callable[[], None]] = deque()
        self._next = 0.0

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def wait(self, resume: Callable[[], None]) -> None:
        """Have `resume` called when it is this handler's turn."""
        self._waiting.append(resume)

    def run(self, *, idle: bool) -> None:
        """Let the first go on, if nothing else is to be done or others had the thread for long enough."""
        began = self._clock()
        if not self._waiting or not (idle or began >= self._next):
            return
        resume = self._waiting.popleft()
        try:
            resume()
        finally:
            ended = self._clock()
            self._next = ended + (ended - began)

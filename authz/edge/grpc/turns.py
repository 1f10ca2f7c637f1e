"""Handlers of the native server that gave the thread back in the middle of long work, and when they get it again.

Rules of this module:

* They go on in the order in which they came, one slice at a time.
* While gRPC's core has other events they wait for as long as the last slice took, so that they have half of the thread
  at most and never nothing. When there is no other event, one goes on at once.
"""

import time
from collections import deque
from collections.abc import Callable


class Turns(deque[Callable[[], None]]):
    """The handlers of one thread that wait for their turn; no other thread may touch them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the time from `clock`, in seconds."""
        super().__init__()
        self._clock = clock
        self._next = 0.0

    def wait(self, resume: Callable[[], None]) -> None:
        """Have `resume` called when it is this handler's turn."""
        self.append(resume)

    def run(self, *, idle: bool) -> None:
        """Let the first go on, if nothing else is to be done or others had the thread for long enough."""
        began = self._clock()
        if not self or not (idle or began >= self._next):
            return
        resume = self.popleft()
        try:
            resume()
        finally:
            ended = self._clock()
            self._next = ended + (ended - began)

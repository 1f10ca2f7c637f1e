"""Time the stages of one Check: parse, token, policy, respond.

Only a sample of Checks is timed. The others carry a `Stages` whose marks do nothing.
"""

import time
from collections.abc import Callable


class Stages:
    """Marks the end of a stage; does nothing."""

    __slots__ = ()

    def mark(self, stage: str) -> None:
        """End a stage, whose time is the time since the last mark."""


UNTIMED = Stages()
"""For a Check that is not timed."""


class Sampled(Stages):
    """Marks the end of a stage and reports its time."""

    __slots__ = ("_last", "_report")

    def __init__(self, report: Callable[[str, float], None]) -> None:
        """Begin the first stage; `report` takes a stage and its seconds."""
        self._report = report
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """End a stage."""
        now = time.perf_counter()
        self._report(stage, now - self._last)
        self._last = now

"""Time the stages of one Check: parse, token, policy, respond.

Only one Check in `SAMPLED` is timed. For the others, marking the end of a stage does nothing.
"""

import time
from collections.abc import Callable

Mark = Callable[[str], None]
"""Marks the end of a stage, whose time is the time since the last mark."""

SAMPLED = 16


def no_mark(stage: str) -> None:
    """Mark the end of a stage of a Check that is not timed."""


class StageSampler:
    """Times the stages of a sample of Checks; one thread uses it."""

    def __init__(self, report: Callable[[str, float], None]) -> None:
        """Report stages and their seconds to `report`."""
        self._report = report
        self._count = 0

    def begin(self) -> Mark:
        """Begin the first stage of a Check, and return what marks the end of each."""
        self._count += 1
        return _StageTimer(self._report).mark if self._count % SAMPLED == 1 else no_mark


class _StageTimer:
    """The stages of one Check."""

    __slots__ = ("_last", "_report")

    def __init__(self, report: Callable[[str, float], None]) -> None:
        self._report = report
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self._report(stage, now - self._last)
        self._last = now

"""What was decided in the last hour, read from the metrics every few seconds and kept in a bounded ring.

Nothing here is on the request path: `EnvoyWatch` reads the metrics anyway, and hands over what it read. So the figures are
those of all workers, and a time is exact to the interval between two looks.
"""

import time
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from authz.edge.http.console.samples import Samples

HOUR, MINUTE = 3600.0, 60.0
_APART = 4.0
"""Seconds between two looks that are kept, at least."""
_LOOKS = int(HOUR / _APART)
_LATELY = 900.0


class Look(NamedTuple):
    """How many requests were allowed and denied until a moment, in seconds since the epoch."""

    at: float
    allowed: float
    denied: float


class DecisionRate(NamedTuple):
    """Decisions a second."""

    allowed: float
    denied: float


class Activity:
    """The looks of the last hour, and when each rule and reason last decided."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Begin with a service that has decided nothing; `clock` gives seconds since the epoch."""
        self._clock = clock
        self._looks: deque[Look] = deque([Look(clock(), 0.0, 0.0)], maxlen=_LOOKS)
        self._counts: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], float] = {}

    def note(self, samples: Samples) -> None:
        """Note what the metrics say now."""
        now = self._clock()
        counts: dict[tuple[str, str], float] = {}
        allowed = denied = 0.0
        for (name, labels), value in samples.items():
            if name == "decisions_total":
                given = dict(labels)
                allowed += value if given["decision"] == "allow" else 0.0
                denied += value if given["decision"] == "deny" else 0.0
                for key in ((given["server"], given["rule"]), ("", given["reason"])):
                    counts[key] = counts.get(key, 0.0) + value
        self._last |= {key: now for key, count in counts.items() if count > self._counts.get(key, 0.0)}
        self._counts = counts
        if not self._looks or now - self._looks[-1].at >= _APART:
            self._looks.append(Look(now, allowed, denied))

    def now(self) -> DecisionRate | None:
        """Return the decisions a second between the last two looks, None before there are two."""
        if len(self._looks) <= 1:
            return None
        before, after = self._looks[-2], self._looks[-1]
        return _rate(before, after)

    def recent(self, seconds: float, parts: int) -> list[DecisionRate]:
        """Return the decisions a second in each of the equal parts of the last `seconds`, the oldest first."""
        end, width = self._clock(), seconds / parts
        sums = [[0.0, 0.0] for _ in range(parts)]
        looks = list(self._looks)
        for before, after in pairwise(looks):
            part = parts - 1 - int((end - after.at) / width)
            if 0 <= part < parts:
                sums[part][0] += max(0.0, after.allowed - before.allowed)
                sums[part][1] += max(0.0, after.denied - before.denied)
        return [DecisionRate(allowed / width, denied / width) for allowed, denied in sums]

    def rule_age(self, server: str, rule: str) -> float | None:
        """Return how many seconds ago a rule last decided, None if it never has."""
        return self._age((server, rule))

    def lately(self, reason: str) -> bool:
        """Return whether a reason decided within the last quarter of an hour."""
        age = self._age(("", reason))
        return age is not None and age <= _LATELY

    def _age(self, key: tuple[str, str]) -> float | None:
        at = self._last.get(key)
        return None if at is None else max(0.0, self._clock() - at)


def _rate(before: Look, after: Look) -> DecisionRate:
    seconds = max(after.at - before.at, 1e-9)
    allowed, denied = after.allowed - before.allowed, after.denied - before.denied
    return DecisionRate(max(0.0, allowed) / seconds, max(0.0, denied) / seconds)

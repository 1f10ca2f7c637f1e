"""Counters, histograms and stage times for the request path: plain additions there, Prometheus' families on collection.

`prometheus_client`'s own counters look a child up and take a lock for each addition. Each counter here is added to by one
thread only, so a dictionary is enough and costs a tenth. `/metrics` is answered by another thread, which reads a copy that
the interpreter makes in one step.

The tables grow with the label sets that were seen, and nothing is evicted: a sum must not fall. So a label's values must come
from the policy or from a closed list, and never from a sender (see `metrics`).
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Counters(Collector):
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        """Describe the counter; `name` is without `_total`."""
        self._described = (name, documentation, tuple(labels))
        self.counts: dict[Labels, int] = {}

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Add to the counter of these labels."""
        self.counts[labels] = self.counts.get(labels, 0) + amount

    def collect(self) -> Iterable[Metric]:
        """Return the metric family."""
        name, documentation, labels = self._described
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in self.counts.copy().items():
            family.add_metric(values, count)
        return [family]


class DurationHistogram(Collector):
    """A histogram of seconds with labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        """Describe the histogram; `buckets` are upper bounds in seconds, ascending."""
        self._described = (name, documentation, tuple(labels))
        self._buckets = tuple(buckets)
        self._seen: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, labels: Labels, seconds: float) -> None:
        """Add one duration."""
        seen = self._seen.get(labels)
        if seen is None:
            seen = self._seen[labels] = ([0] * (len(self._buckets) + 1), [0.0])
        counts, total = seen
        counts[bisect_left(self._buckets, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterable[Metric]:
        """Return the metric family, with cumulative buckets up to +Inf."""
        name, documentation, labels = self._described
        family = HistogramMetricFamily(name, documentation, labels=labels)
        bounds = [*map(str, self._buckets), "+Inf"]
        for values, (counts, total) in self._seen.copy().items():
            running = 0
            rows = [(bound, running := running + count) for bound, count in zip(bounds, counts, strict=True)]
            family.add_metric(values, buckets=rows, sum_value=total[0])
        return [family]


Mark = Callable[[str], None]
"""Marks the end of a stage, whose time is the time since the last mark."""

SAMPLED = 16
"""One Check of this many is timed stage by stage; the others pay nothing for it."""


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

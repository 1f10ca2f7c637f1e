"""Counters and timings for the request path: plain additions there, Prometheus' families when they are asked for.

`prometheus_client`'s own counters take a lock for each addition. Each counter here is added to by one thread only, so a
dictionary is enough and costs a tenth. Whoever answers /metrics is another thread, and reads a copy, which takes one
step of the interpreter.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class Counters(Collector):
    """A counter with labels."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        """Describe the counter; `name` without `_total`."""
        self._described = (name, documentation, tuple(labels))
        self.counts: dict[Labels, int] = {}

    def add(self, labels: Labels, amount: int = 1) -> None:
        """Count."""
        self.counts[labels] = self.counts.get(labels, 0) + amount

    def collect(self) -> Iterable[Metric]:
        """Give the family."""
        name, documentation, labels = self._described
        family = CounterMetricFamily(name, documentation, labels=labels)
        for values, count in self.counts.copy().items():
            family.add_metric(values, count)
        return [family]


class StageTimes(Collector):
    """A histogram of seconds with labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float]
    ) -> None:
        """Describe the histogram; `buckets` are upper bounds in seconds, ascending."""
        self._described = (name, documentation, tuple(labels))
        self._buckets = tuple(buckets)
        self._seen: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, labels: Labels, seconds: float) -> None:
        """Count one duration."""
        seen = self._seen.get(labels)
        if seen is None:
            seen = self._seen[labels] = ([0] * (len(self._buckets) + 1), [0.0])
        counts, total = seen
        counts[bisect_left(self._buckets, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterable[Metric]:
        """Give the family; its buckets are cumulative, the last without bound."""
        name, documentation, labels = self._described
        family = HistogramMetricFamily(name, documentation, labels=labels)
        bounds = [*map(str, self._buckets), "+Inf"]
        for values, (counts, total) in self._seen.copy().items():
            running = 0
            rows = [(bound, running := running + count) for bound, count in zip(bounds, counts, strict=True)]
            family.add_metric(values, buckets=rows, sum_value=total[0])
        return [family]

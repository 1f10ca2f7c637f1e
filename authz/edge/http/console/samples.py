"""Read a service's metrics as samples, and add them up over the labels that are not asked for.

Rules of this module:

* It reads samples as Prometheus does, and knows nothing about the process that counted them.
* A quantile of a histogram is interpolated linearly inside its bucket, as PromQL's `histogram_quantile` does it; one that
  lies beyond the last bound is that bound.
* Between two readings, a counter contributes its difference. One that fell was restarted, so all of it is new.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

from prometheus_client.core import Metric

PREFIX = "mcp_authz_"
Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]
_COUNTING = ("_total", "_bucket", "_sum", "_count")


def samples_of(metrics: Iterable[Metric]) -> Samples:
    """Return the samples of this service's metrics by name and labels."""
    return {
        (sample.name.removeprefix(PREFIX), frozenset(sample.labels.items())): sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name.startswith(PREFIX)
    }


def difference(now: Samples, before: Samples) -> Samples:
    """Return what was counted between two readings; gauges as they are now."""
    counted = dict(now)
    for key, value in now.items():
        earlier = before.get(key, 0.0)
        if key[0].endswith(_COUNTING) and earlier <= value:
            counted[key] = value - earlier
    return counted


class SampleSums:
    """Samples by the name of their metric, to be added up."""

    def __init__(self, samples: Samples) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for (name, labels), value in samples.items():
            self._samples[name].append((dict(labels), value))

    def sums(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return a metric summed by some of its labels, largest first."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for given, value in self._samples.get(name, ()):
            sums[tuple(given.get(label, "") for label in labels)] += value
        return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return a metric summed by one label."""
        return {value: count for (value,), count in self.sums(name, label).items()}

    def buckets(self, name: str, label: str, value: str) -> list[tuple[float, float]]:
        """Return the buckets that a histogram has for one value of a label: upper bound and cumulative count."""
        rows = self.sums(f"{name}_bucket", "le", label).items()
        return [(float(bound), count) for (bound, given), count in rows if given == value]


def quantile(buckets: Iterable[tuple[float, float]], part: float) -> float | None:
    """Return a quantile of a histogram, None if it is empty.

    Args:
        buckets: upper bound and cumulative count of each, the last bound infinite.
        part: from 0 to 1.
    """
    rows = sorted(buckets)
    if not rows or not rows[-1][1]:
        return None
    wanted = part * rows[-1][1]
    lower, below = 0.0, 0.0
    for bound, count in rows:
        if count >= wanted and count > below:
            return (
                lower if math.isinf(bound) else lower + (bound - lower) * (wanted - below) / (count - below)
            )
        lower, below = bound, count
    return lower

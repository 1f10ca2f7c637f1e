"""Metrics of several workers as one service's: every number added up, or the one that an operator must see.

Rules of this module:

* Counters and histograms add up, label set by label set. What a worker counted stays in the sum after its end: a sum that
  falls looks like a restart to Prometheus, which would then take the whole of it for new.
* A gauge says how things are, so a sum would say nothing: the largest value is shown, or the smallest where small is bad.
  A gauge whose label is what it says, as the policy's hash, so shows every value that any worker has.
"""

from collections.abc import Iterable

import msgspec
from prometheus_client.core import Metric

Sample = tuple[str, dict[str, str], float]


class Family(msgspec.Struct, array_like=True, frozen=True):
    """One metric with its samples, as plain values that can go from one process to another.

    Attributes:
        name: as it is exposed, without `_total`.
        documentation: its help text.
        kind: counter, gauge or histogram.
        samples: (name, labels, value) of each.
    """

    name: str
    documentation: str
    kind: str
    samples: list[Sample]


_SMALLEST = frozenset({"mcp_authz_jwks_keys"})
"""Gauges of which the smallest value is the one to see; of the others it is the largest."""
_ADDED = frozenset({"counter", "histogram"})
_CREATED = "_created"


def plain(metrics: Iterable[Metric]) -> list[Family]:
    """Give Prometheus' families as plain values."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in metrics
    ]


def families(merged: Iterable[Family]) -> list[Metric]:
    """Give plain values as Prometheus' families."""
    found = []
    for family in merged:
        metric = Metric(family.name, family.documentation, family.kind)
        for name, labels, value in family.samples:
            metric.add_sample(name, labels, value)
        found.append(metric)
    return found


def counted(source: Iterable[Family]) -> list[Family]:
    """Give what of a worker's metrics outlives it."""
    return [family for family in source if family.kind in _ADDED]


def merge(sources: Iterable[Iterable[Family]]) -> list[Family]:
    """Make one service's metrics of those of its workers."""
    first: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for family in (family for source in sources for family in source):
        first.setdefault(family.name, family)
        seen = values.setdefault(family.name, {})
        for name, labels, value in family.samples:
            key = (name, tuple(labels.items()))
            seen[key] = _together(family, name, seen[key], value) if key in seen else value
    return [
        msgspec.structs.replace(
            family, samples=[(name, dict(labels), value) for (name, labels), value in values[name_].items()]
        )
        for name_, family in first.items()
    ]


def _together(family: Family, sample: str, one: float, other: float) -> float:
    if sample.endswith(_CREATED) or family.name in _SMALLEST:
        return min(one, other)
    return one + other if family.kind in _ADDED else max(one, other)

"""Merge the metrics of several workers into those of one service.

Rules of this module:

* Counters and histograms are added up, label set by label set. What a worker counted stays in the sum after its end:
  Prometheus takes a sum that falls for a restart, and would count the whole of it again.
* A gauge is a state, and the sum of states means nothing, but for what each worker holds (`_ADDED`): the largest value is shown, or the smallest where small is bad.
  A gauge that carries its value in a label, as the policy's hash, shows every value that any worker has.
"""

from collections.abc import Iterable
from itertools import chain

from prometheus_client.core import Metric

_SMALLEST = frozenset({"mcp_authz_jwks_keys"})
"""Gauges of which an operator must see the smallest value."""
_ADDED = frozenset(
    {
        "mcp_authz_introspection_questions",
        "mcp_authz_introspection_remembered",
        "mcp_authz_streams_open",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
    }
)
"""Gauges that say how much each worker holds, so that their sum is what the service holds."""
_SUMMED = frozenset({"counter", "histogram"})
_CREATED = "_created"


def summed(metrics: Iterable[Metric]) -> list[Metric]:
    """Return the metrics that outlive their worker: those that are added up."""
    return [metric for metric in metrics if metric.type in _SUMMED]


def merge(sources: Iterable[Iterable[Metric]]) -> list[Metric]:
    """Return one metric of each name, with the values of all workers combined. The sources are not changed."""
    merged: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for metric in chain.from_iterable(sources):
        merged.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
        seen = values.setdefault(metric.name, {})
        for sample in metric.samples:
            key = (sample.name, tuple(sample.labels.items()))
            seen[key] = (
                _combine(metric, sample.name, seen[key], sample.value) if key in seen else sample.value
            )
    for name, metric in merged.items():
        for (sample_name, labels), value in values[name].items():
            metric.add_sample(sample_name, dict(labels), value)
    return list(merged.values())


def _combine(metric: Metric, sample: str, one: float, other: float) -> float:
    if sample.endswith(_CREATED) or metric.name in _SMALLEST:
        return min(one, other)
    added = metric.type in _SUMMED or metric.name in _ADDED
    return one + other if added else max(one, other)

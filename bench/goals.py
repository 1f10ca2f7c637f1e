"""What the service is meant to cost, and whether a run shows that it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.memory import growth

Parts = Mapping[str, Any]
"""What was measured, by part, as it stands in the JSON document."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal.

    Attributes:
        name: what is compared with what.
        bound: the limit.
        at_most: whether the measured value may be at most the bound; otherwise at least.
        read: finds the value among the parts; a missing key means that the run did not measure it.
        unit: of value and bound; empty for a ratio.
    """

    name: str
    bound: float
    at_most: bool = True
    read: Callable[[Parts], float | None]
    unit: str = ""


def judged(parts: Parts) -> list[dict[str, Any]]:
    """Give every goal with what was measured, and whether it held; None for both where it was not measured."""
    return [_judged(goal, parts) for goal in GOALS]


def _judged(goal: Goal, parts: Parts) -> dict[str, Any]:
    try:
        value = goal.read(parts)
    except (KeyError, StopIteration):
        value = None
    held = None if value is None else (value <= goal.bound if goal.at_most else value >= goal.bound)
    return {
        "goal": goal.name,
        "bound": goal.bound,
        "at_most": goal.at_most,
        "unit": goal.unit,
        "measured": value,
        "held": held,
    }


def _rate(variant: str, key: str) -> Callable[[Parts], float | None]:
    def read(parts: Parts) -> float | None:
        rows = parts["envoy"]["rows"]
        row = next(row for row in rows if row["variant"] == variant and row["connections"] == 16)
        return float(row[key]) or None

    return read


def _half(parts: Parts) -> float:
    return float(next(row["p99_ratio"] for row in parts["half"]["rows"] if row["variant"] == "cached"))


def _grown(part: str, series: str, size: int) -> Callable[[Parts], float | None]:
    def read(parts: Parts) -> float | None:
        return float(next(point["ratio"] for point in parts[part][series] if point["size"] == size))

    return read


def _list(rows: str) -> Callable[[Parts], float | None]:
    def read(parts: Parts) -> float | None:
        found = (row for row in parts["lists"][rows] if row["tools"] == 1_000 and row["way"] == "half cut")
        return float(next(found)["ratio"])

    return read


def _memory(run: str, key: str, least: int) -> Callable[[Parts], float | None]:
    """Read memory at the first mark of a run at which `key` had reached `least`."""

    def read(parts: Parts) -> float | None:
        kib = next(mark["rss_kib"] for mark in parts["memory"][run] if mark[key] >= least)
        return float(kib * 1024 / _MB)

    return read


def _growth(run: str) -> Callable[[Parts], float | None]:
    return lambda parts: growth(parts["memory"][run], 200_000, 1_000_000)


GOALS = (
    Goal(
        name="cached token, 16 connections: calls/s against bare",
        bound=0.90,
        at_most=False,
        read=_rate("cached", "rate_ratio"),
    ),
    Goal(
        name="cached token, 16 connections: CPU a call against bare",
        bound=1.15,
        read=_rate("cached", "cpu_ratio"),
    ),
    Goal(
        name="fresh token, 16 connections: calls/s against bare",
        bound=0.55,
        at_most=False,
        read=_rate("fresh", "rate_ratio"),
    ),
    Goal(name="p99 at half of peak load against bare at the same rate", bound=1.5, read=_half),
    Goal(name="10,000 rules against 10, a whole Check", bound=1.1, read=_grown("sizes", "rules", 10_000)),
    Goal(name="10,000 rules against 10, the decision alone", bound=1.1, read=_grown("core", "rules", 10_000)),
    Goal(name="5,000 tools against 5, a whole Check", bound=1.1, read=_grown("sizes", "tools", 5_000)),
    Goal(
        name="list of 1,000 tools, half cut, ready-made: time against untrimmed",
        bound=2.5,
        read=_list("rows"),
    ),
    Goal(
        name="list of 1,000 tools, half cut, from the SDK: time against untrimmed",
        bound=2.5,
        read=_list("sdk"),
    ),
    Goal(name="memory of a served worker at rest", bound=90, unit="MB", read=_memory("served", "tokens", 0)),
    Goal(
        name="memory of a served worker, 100,000 tokens seen",
        bound=250,
        unit="MB",
        read=_memory("served", "tokens", 100_000),
    ),
    Goal(
        name="memory without gRPC, 100,000 tokens remembered",
        bound=250,
        unit="MB",
        read=_memory("tokens", "tokens", 100_000),
    ),
    Goal(
        name="memory without gRPC, 1,000,000 Checks",
        bound=250,
        unit="MB",
        read=_memory("soak", "checks", 1_000_000),
    ),
    Goal(
        name="memory without gRPC, 1,000,000 Checks against 200,000",
        bound=1.02,
        read=_growth("soak"),
    ),
    Goal(
        name="memory of a served worker, 1,000,000 Checks against 200,000",
        bound=1.02,
        read=_growth("served"),
    ),
)

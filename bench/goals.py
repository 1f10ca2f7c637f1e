"""What the service is meant to cost, and whether a run shows that it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.memory import growth
from bench.workload import REFERENCE

Parts = Mapping[str, Any]
"""What was measured, by part, as it stands in the JSON document."""
Read = Callable[[Parts], float | None]
"""Find a value among the parts; a KeyError or StopIteration means that the run did not measure it."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Goal:
    """A value and its bound, which it must not exceed, or must reach if `at_most` is false; ratios have no unit."""

    name: str
    bound: float
    read: Read
    at_most: bool = True
    unit: str = ""


def judged(parts: Parts) -> list[dict[str, Any]]:
    """Return every goal with what was measured and whether it held; both are None where it was not measured."""
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


def _at(key: str, part: str, rows: str = "rows", **fields: object) -> Read:
    """Read a figure from the row of a part that has these fields; 0 means that there was nothing to compare with."""

    def read(parts: Parts) -> float | None:
        found = (row for row in parts[part][rows] if fields.items() <= row.items())
        return float(next(found)[key]) or None

    return read


def _memory(run: str, key: str, least: int) -> Read:
    """Read memory at the first mark of a run at which `key` had reached `least`."""

    def read(parts: Parts) -> float | None:
        kib = next(mark["rss_kib"] for mark in parts["memory"][run] if mark[key] >= least)
        return float(kib * 1024 / _MB)

    return read


def _growth(run: str) -> Read:
    return lambda parts: growth(parts["memory"][run], 200_000, 1_000_000)


def _rate(variant: str, key: str) -> Read:
    """Read a ratio to `bare`, or to the fastest of the bare handlers where there are more of them."""
    measured, best = _at(key, "envoy", variant=variant, connections=16), max if "rate" in key else min

    def read(parts: Parts) -> float | None:
        rows = [row for row in parts["envoy"]["rows"] if row["connections"] == 16]
        bare = [row[key] for row in rows if row["variant"].startswith(REFERENCE) and row[key]]
        value = measured(parts)
        return value and value / best(bare, default=1.0)

    return read


def _session(variant: str, key: str) -> Read:
    return _at(key, "sessions", variant=variant, connections=16)


def _list(rows: str) -> Read:
    return _at("ms_ratio", "lists", rows, tools=1_000, variant="half cut")


def _locked(rows: str, variant: str, key: str, connections: int) -> Read:
    return _at(key, "lock", rows, variant=variant, connections=connections)


_CACHED, _FRESH = "cached token, 16 connections", "fresh token, 16 connections"
_LIST, _SERVED, _ALONE = "list of 1,000 tools, half cut", "memory of a served worker", "memory without gRPC"
_SESSION, _UNREAD = "session call", "session call, answers: lists"
_LOCKED_LIST, _CHECKED = "list of 1,000 locked tools, half cut", "call with a checked schema, 16 connections"
_P99 = "p99 at half of peak load against bare at the same rate"
GOALS = (
    Goal(f"{_CACHED}: calls/s against bare", 0.90, _rate("cached", "rate_ratio"), at_most=False),
    Goal(f"{_CACHED}: CPU a call against bare", 1.15, _rate("cached", "backend_us_ratio")),
    Goal(f"{_FRESH}: calls/s against bare", 0.55, _rate("fresh", "rate_ratio"), at_most=False),
    Goal(f"{_SESSION}: calls/s against a modern call", 0.75, _session(_SESSION, "rate_ratio"), at_most=False),
    Goal(f"{_SESSION}: CPU of both against a modern call", 1.5, _session(_SESSION, "total_us_ratio")),
    Goal(f"{_UNREAD}: calls/s against a modern call", 0.95, _session(_UNREAD, "rate_ratio"), at_most=False),
    Goal(_P99, 1.5, _at("p99_ms_ratio", "half", variant="cached")),
    Goal("10,000 rules against 10, a whole Check", 1.1, _at("us_ratio", "sizes", "rules", size=10_000)),
    Goal("10,000 rules against 10, the decision alone", 1.1, _at("us_ratio", "core", "rules", size=10_000)),
    Goal("5,000 tools against 5, a whole Check", 1.1, _at("us_ratio", "sizes", "tools", size=5_000)),
    Goal(f"{_LIST}, ready-made: time against untrimmed", 2.0, _list("rows")),
    Goal(f"{_LIST}, from the SDK: time against untrimmed", 2.5, _list("sdk")),
    Goal(f"{_LOCKED_LIST}: time against no lock", 1.5, _locked("lists", "list, locked", "p50_ms_ratio", 1)),
    Goal(
        f"{_CHECKED}: CPU of both against no lock",
        1.15,
        _locked("calls", "call, arguments checked", "total_us_ratio", 16),
    ),
    Goal(
        f"{_CHECKED}: p50 against no lock",
        1.15,
        _locked("calls", "call, arguments checked", "p50_ms_ratio", 16),
    ),
    Goal(f"{_SERVED} at rest", 90, _memory("served", "tokens", 0), unit="MB"),
    Goal(f"{_SERVED}, 100,000 tokens seen", 250, _memory("served", "tokens", 100_000), unit="MB"),
    Goal(f"{_ALONE}, 100,000 tokens remembered", 250, _memory("tokens", "tokens", 100_000), unit="MB"),
    Goal(f"{_ALONE}, 1,000,000 Checks", 250, _memory("soak", "checks", 1_000_000), unit="MB"),
    Goal(f"{_ALONE}, 1,000,000 Checks against 200,000", 1.02, _growth("soak")),
    Goal(f"{_SERVED}, 1,000,000 Checks against 200,000", 1.02, _growth("served")),
)

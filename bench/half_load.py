"""How long a call takes at half load: the service and the bare handler at the same fixed rate, in turn.

A closed loop says little about waiting, because it sends less when answers are slow. So the peak of the service is
measured first, and then both are sent half of that at fixed moments, see `load.at_rate`.
"""

from collections.abc import Iterator
from dataclasses import asdict
from statistics import median
from typing import Any

from bench import load
from bench.client import warm_up
from bench.rounds import Through, check_counters
from bench.samples import Fields, rotated, summarise
from bench.stack import RunningStack
from bench.workload import REFERENCE, VARIANTS, Variant

_PAIR = [variant for variant in VARIANTS if variant.name in {REFERENCE, "cached"}]
_PEAK_CONNECTIONS = (16, 64)
_PEAK_SAMPLES = 3


def measure(stack: RunningStack, seconds: float, rounds: int) -> dict[str, Any]:
    """Find the peak, measure at half of it, and return the part as it goes into the JSON document."""
    peak = find_peak(stack, seconds)
    samples = list(_samples(stack, peak / 2, seconds, rounds))
    medians = ("p50_ms", "p99_ms", "p999_ms", "late_ms", "busy")
    rows = summarise(samples, ("variant",), {"variant": REFERENCE}, medians, ("p99_ms",))
    return {"peak": peak, "rate": peak / 2, "rows": rows, "samples": samples}


def find_peak(stack: RunningStack, seconds: float) -> float:
    """Return the most calls per second that the service answered: the better of the medians."""
    through, cached = Through(stack, seconds), _PAIR[1]
    rates: list[list[float]] = [
        [through(cached, c)["rate"] for _ in range(_PEAK_SAMPLES)] for c in _PEAK_CONNECTIONS
    ]
    return max(map(median, rates))


def _samples(stack: RunningStack, rate: float, seconds: float, rounds: int) -> Iterator[Fields]:
    for number in range(rounds):
        for variant in rotated(_PAIR, number):
            found = _sent(stack, variant, rate, seconds)
            yield {"variant": variant.name, "round": number, **asdict(found)}


def _sent(stack: RunningStack, variant: Variant, rate: float, seconds: float) -> load.Load:
    backend, population = stack.backends[variant.backend], variant.population
    requests, start = stack.requests[population], stack.sent.get(population, 0)
    start += warm_up(backend.port, requests, start, denied=variant.denied)
    counted = stack.counters(backend.name)
    found = load.at_rate(backend.port, rate, seconds, requests, start)
    stack.sent[population] = start + found.calls
    check_counters(stack, variant, counted, found.calls, 0)
    return found

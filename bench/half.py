"""How long a call takes at half load: the service and the bare handler at the same fixed rate, in turn.

A closed loop says little about waiting, because it sends less when answers are slow. So the peak of the service is
found first, and then both are sent half of that at fixed moments, see `openload`.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench import load
from bench.rounds import Through, check_counters
from bench.stack import Stack
from bench.warm import warm
from bench.workload import REFERENCE, VARIANTS, Variant

SUBJECT = "cached"
_PEAK_CONNECTIONS = (16, 64)
_PEAK_SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One variant at the fixed rate, once."""

    variant: str
    round: int
    load: load.Load


def measure(stack: Stack, seconds: float, rounds: int) -> dict[str, Any]:
    """Find the peak and measure at half of it; give everything as it goes into the JSON document."""
    peak = find_peak(stack, seconds)
    samples = list(at_rate(stack, peak / 2, seconds, rounds))
    return {
        "peak": peak,
        "rate": peak / 2,
        "rows": rows(samples),
        "samples": [asdict(sample) for sample in samples],
    }


def find_peak(stack: Stack, seconds: float) -> float:
    """Give the most calls per second that the service was seen to answer: the better of the medians."""
    through = Through(stack, seconds)

    def rate(connections: int) -> float:
        found = through(_variant(SUBJECT), connections)[0]
        return found.calls / found.seconds

    return max(median(rate(c) for _ in range(_PEAK_SAMPLES)) for c in _PEAK_CONNECTIONS)


def at_rate(stack: Stack, rate: float, seconds: float, rounds: int) -> Iterator[Timed]:
    """Send both the same rate in every round, in an order that turns."""
    pair = [_variant(REFERENCE), _variant(SUBJECT)]
    for number in range(rounds):
        for variant in pair[:: -1 if number % 2 else 1]:
            yield Timed(variant=variant.name, round=number, load=_sent(stack, variant, rate, seconds))


def _variant(name: str) -> Variant:
    return next(variant for variant in VARIANTS if variant.name == name)


def _sent(stack: Stack, variant: Variant, rate: float, seconds: float) -> load.Load:
    backend, population = stack.backends[variant.backend], variant.population
    start = stack.sent.get(population, 0)
    start += warm(backend.port, stack.requests[population], start, denied=variant.denied)
    counted = stack.counters(backend.name)
    found = load.at_rate(backend.port, rate, seconds, stack.file(population), start)
    stack.sent[population] = start + found.calls
    check_counters(stack, variant, counted, found.calls, 0)
    return found


def rows(samples: list[Timed]) -> list[dict[str, Any]]:
    """Summarise: medians over rounds, and the ratio of the 99th percentiles of each round's pair."""
    return [_row([s for s in samples if s.variant == name], samples) for name in (REFERENCE, SUBJECT)]


def _row(own: list[Timed], samples: list[Timed]) -> dict[str, Any]:
    reference = {s.round: s.load for s in samples if s.variant == REFERENCE}
    ratios = [s.load.p99_ms / reference[s.round].p99_ms for s in own]
    return {
        "variant": own[0].variant,
        **{key: median(getattr(s.load, key) for s in own) for key in ("p50_ms", "p99_ms", "p999_ms")},
        "late_ms": median(s.load.late_ms for s in own),
        "busy": median(s.load.busy for s in own),
        "p99_ratio": median(ratios),
        "p99_spread": (min(ratios), max(ratios)),
    }

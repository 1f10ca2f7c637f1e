"""Interleaved rounds: each round measures every variant once, so that all of them run under the same conditions.

Every sample is checked: Envoy's own counters must say that each call was sent to the backend and answered as the
variant demands, and for `fresh` the service's metrics that no token was cached. A sample that fails the check is an
error, not a figure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench import load
from bench.client import WARM_UP, warm_up
from bench.samples import Fields, rotated, summarise
from bench.stack import ENVOY, SERVICE, RunningStack
from bench.workload import REFERENCE, Variant, check_request


class MiscountedError(RuntimeError):
    """A sample did not measure what it should have; the text has the counters."""


Measure = Callable[[Variant, int], Fields]
"""Load a variant from a number of connections and return its figures, see `figures`."""


def rounds(
    variants: Sequence[Variant], connections: list[int], count: int, measure: Measure
) -> Iterator[Fields]:
    """Take every sample of every round."""
    for number in range(count):
        for several in connections:
            for variant in rotated(variants, number):
                place = {"variant": variant.name, "connections": several, "round": number}
                yield {**place, **measure(variant, several)}


def figures(found: load.Load, backend: float, envoy: float) -> Fields:
    """Return a load with its rate and the CPU time of a call in microseconds, from CPU seconds of the processes."""
    us = {"backend_us": backend / found.calls * 1e6, "envoy_us": envoy / found.calls * 1e6}
    return {**asdict(found), "rate": found.calls / found.seconds, **us, "total_us": sum(us.values())}


def rows(samples: Iterable[Fields], reference: str = REFERENCE) -> list[dict[str, Any]]:
    """Summarise samples; ratios are to the variant `reference` in the same round, at as many connections."""
    medians = ("rate", "p50_ms", "p99_ms", "p999_ms", "backend_us", "envoy_us", "busy")
    ratios = ("rate", "backend_us", "total_us", "p50_ms")
    return summarise(samples, ("connections", "variant"), {"variant": reference}, medians, ratios)


class Through:
    """Measures through Envoy."""

    def __init__(self, stack: RunningStack, seconds: float) -> None:
        self._stack, self._seconds = stack, seconds

    def __call__(self, variant: Variant, connections: int) -> Fields:
        """Measure; see `Measure`."""
        stack, backend, name = self._stack, self._stack.backends[variant.backend], variant.population
        start = stack.sent.get(name, 0)
        start += warm_up(backend.port, stack.requests[name], start, denied=variant.denied)
        counted, misses = stack.counters(backend.name), stack.misses()
        cpu, envoy = stack.cpu(backend.name), stack.cpu(ENVOY)
        found = load.over_http(backend.port, connections, self._seconds, stack.file(name), start)
        taken = figures(found, stack.cpu(backend.name) - cpu, stack.cpu(ENVOY) - envoy)
        stack.sent[name] = start + found.calls + connections
        check_counters(stack, variant, counted, found.calls, connections)
        if name == "fresh" and backend.name == SERVICE:
            check_count(variant, found.calls, connections, stack.misses() - misses)
        return taken


def check_counters(
    stack: RunningStack, variant: Variant, before: Mapping[str, int], calls: int, connections: int
) -> None:
    """Compare what Envoy counted since `before` with the calls of a load.

    Raises:
        MiscountedError: calls are missing or were answered otherwise than the variant demands.
    """
    key = "denied" if variant.denied else "ok"
    check_count(variant, calls, connections, stack.counters(variant.backend)[key] - before[key])


def check_count(variant: Variant, calls: int, connections: int, counted: int) -> None:
    """Compare a counter with the calls; those that were cut off at the end may or may not be in it."""
    if not calls <= counted <= calls + connections:
        msg = f"{variant.name}: {calls} calls, of which {counted} were counted as they should be"
        raise MiscountedError(msg)


class Direct:
    """Measures gRPC alone, without Envoy."""

    def __init__(self, stack: RunningStack, seconds: float) -> None:
        self._stack, self._seconds = stack, seconds
        self._checks: dict[str, list[bytes]] = {}

    def __call__(self, variant: Variant, connections: int) -> Fields:
        """Measure; see `Measure`."""
        stack, backend, name = self._stack, self._stack.backends[variant.backend], variant.population
        if name not in self._checks:
            self._checks[name] = list(map(check_request, stack.requests[name]))
        start, cpu = stack.sent.get(name, 0), stack.cpu(backend.name)
        checks = load.from_number(self._checks[name], start)
        found = load.over_grpc(backend.service, connections, self._seconds, checks, denied=variant.denied)
        stack.sent[name] = start + WARM_UP + found.calls
        share = found.calls / (found.calls + WARM_UP)  # the calls of the warm-up took CPU time as well
        return figures(found, (stack.cpu(backend.name) - cpu) * share, 0.0)

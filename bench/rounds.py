"""Interleaved rounds: in each one every variant is measured once, so that all of them see the same weather.

The order turns by one place from round to round, so that no variant always follows the same other one. Figures are
compared within a round only; of those ratios the median is reported. Every sample is checked: Envoy's own counters
must say that each call was put to the backend and answered as the variant wants, and for `fresh` the service's that
no token was remembered. What fails the check is an error, not a figure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from bench import load
from bench.stack import ENVOY, SERVICE, Stack
from bench.warm import CALLS, warm
from bench.workload import REFERENCE, Variant


class Untrue(RuntimeError):  # noqa: N818 - reads as what happened
    """A sample did not measure what it should have; the text says what the counters say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One variant, once.

    Attributes:
        variant: its name.
        connections: how many there were.
        round: number of the round.
        load: what the generator found.
        backend_us: CPU time of the backend per call, in microseconds; 0 when nobody was asked.
        envoy_us: CPU time of Envoy per call, in microseconds; 0 without Envoy.
    """

    variant: str
    connections: int
    round: int
    load: load.Load
    backend_us: float
    envoy_us: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.load.calls / self.load.seconds

    @property
    def total_us(self) -> float:
        """CPU time of backend and Envoy together, in microseconds a call."""
        return self.backend_us + self.envoy_us


Measure = Callable[[Variant, int], tuple[load.Load, float, float]]
"""Loads a variant from so many connections: what the generator found, CPU seconds of the backend and of Envoy."""


def rounds(variants: list[Variant], connections: list[int], count: int, measure: Measure) -> Iterator[Sample]:
    """Take every sample of every round."""
    for number in range(count):
        turned = variants[number % len(variants) :] + variants[: number % len(variants)]
        for several in connections:
            for variant in turned:
                found, backend, envoy = measure(variant, several)
                yield Sample(
                    variant=variant.name,
                    connections=several,
                    round=number,
                    load=found,
                    backend_us=backend / found.calls * 1e6,
                    envoy_us=envoy / found.calls * 1e6,
                )


class Through:
    """Measures through Envoy."""

    def __init__(self, stack: Stack, seconds: float) -> None:
        """Measure `seconds` for each sample."""
        self._stack = stack
        self._seconds = seconds

    def __call__(self, variant: Variant, connections: int) -> tuple[load.Load, float, float]:
        """Measure; see `Measure`."""
        stack, backend = self._stack, self._stack.backends[variant.backend]
        start = stack.sent.get(variant.population, 0)
        start += warm(backend.port, stack.requests[variant.population], start, denied=variant.denied)
        counted, looked, cpu = stack.counters(backend.name), stack.lookups(), self._cpu(backend.name)
        found = load.over_http(
            backend.port, connections, self._seconds, stack.file(variant.population), start
        )
        used = tuple(after - before for before, after in zip(cpu, self._cpu(backend.name), strict=True))
        stack.sent[variant.population] = start + found.calls + connections
        check_counters(stack, variant, counted, found.calls, connections)
        if variant.population == "fresh" and backend.name == SERVICE:
            misses = stack.lookups().get("miss", 0) - looked.get("miss", 0)
            _verify(variant, found.calls, connections, misses)
        return found, used[0], used[1]

    def _cpu(self, backend: str) -> tuple[float, float]:
        return self._stack.cpu(backend), self._stack.cpu(ENVOY)


def check_counters(
    stack: Stack, variant: Variant, before: Mapping[str, int], calls: int, connections: int
) -> None:
    """Compare what Envoy counted since `before` with the calls of a load.

    Raises:
        Untrue: it put fewer or more to the backend, or they were answered otherwise than the variant wants.
    """
    key = "denied" if variant.denied else "ok"
    _verify(variant, calls, connections, stack.counters(variant.backend)[key] - before[key])


def _verify(variant: Variant, calls: int, connections: int, counted: int) -> None:
    """Compare a counter with the calls; those that were cut off at the end may or may not be in it."""
    if not calls <= counted <= calls + connections:
        msg = f"{variant.name}: {calls} calls, of which {counted} were counted as they should be"
        raise Untrue(msg)


class Direct:
    """Measures gRPC alone, without Envoy."""

    def __init__(self, stack: Stack, seconds: float) -> None:
        """Measure `seconds` for each sample."""
        self._stack = stack
        self._seconds = seconds

    def __call__(self, variant: Variant, connections: int) -> tuple[load.Load, float, float]:
        """Measure; see `Measure`."""
        stack, backend = self._stack, self._stack.backends[variant.backend]
        start = stack.sent.get(variant.population, 0)
        cpu = stack.cpu(backend.name)
        file = stack.file(variant.population)
        found = load.over_grpc(
            backend.service, connections, self._seconds, file, start, denied=variant.denied
        )
        stack.sent[variant.population] = start + CALLS + found.calls
        share = found.calls / (found.calls + CALLS)  # the calls that warmed up took time as well
        return found, (stack.cpu(backend.name) - cpu) * share, 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The medians of one variant at one number of connections; ratios are to the bare handler in the same round.

    Attributes:
        variant: its name.
        connections: how many there were.
        rate: calls per second.
        p50_ms: median of the medians, in milliseconds.
        p99_ms: median of the 99th percentiles.
        p999_ms: median of the 99.9th percentiles.
        backend_us: CPU microseconds of the backend per call.
        envoy_us: CPU microseconds of Envoy per call.
        busy: the generator's share of a core.
        rate_ratio: median ratio of calls per second; 0 without a reference.
        rate_spread: lowest and highest of these ratios.
        cpu_ratio: median ratio of the backend's CPU per call; 0 without a reference or a backend.
        total_ratio: median ratio of the CPU of backend and Envoy together; 0 without a reference.
    """

    variant: str
    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    backend_us: float
    envoy_us: float
    busy: float
    rate_ratio: float
    rate_spread: tuple[float, float]
    cpu_ratio: float
    total_ratio: float


def rows(samples: Iterable[Sample]) -> list[Row]:
    """Summarise samples, in the order in which variants and connections first appear."""
    groups: dict[tuple[int, str], dict[int, Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.connections, sample.variant), {})[sample.round] = sample
    return [_row(group, groups.get((key[0], REFERENCE), {})) for key, group in groups.items()]


def _row(group: dict[int, Sample], reference: dict[int, Sample]) -> Row:
    samples = list(group.values())
    pairs = [(sample, reference[number]) for number, sample in group.items() if number in reference]
    rates = [sample.rate / other.rate for sample, other in pairs]
    costs = [sample.backend_us / other.backend_us for sample, other in pairs if other.backend_us]
    totals = [sample.total_us / other.total_us for sample, other in pairs if other.total_us]
    return Row(
        variant=samples[0].variant,
        connections=samples[0].connections,
        rate=median(sample.rate for sample in samples),
        p50_ms=median(sample.load.p50_ms for sample in samples),
        p99_ms=median(sample.load.p99_ms for sample in samples),
        p999_ms=median(sample.load.p999_ms for sample in samples),
        backend_us=median(sample.backend_us for sample in samples),
        envoy_us=median(sample.envoy_us for sample in samples),
        busy=median(sample.load.busy for sample in samples),
        rate_ratio=median(rates) if rates else 0.0,
        rate_spread=(min(rates), max(rates)) if rates else (0.0, 0.0),
        cpu_ratio=median(costs) if costs else 0.0,
        total_ratio=median(totals) if totals else 0.0,
    )

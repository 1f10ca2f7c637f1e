"""Lists of tools by size: the same list untrimmed, looked through with nothing to cut, and with every second tool cut.

All three come through one Envoy, one list at a time, from a server that has its lists ready (see `catalogue`), and from
one on the official SDK. Untrimmed is the listener of the bare handler, which lets every response pass; the others are
the service's, for callers who may use all tools and for callers who may use half of them. What the rewriter itself costs
is measured once more without gRPC, see `rewriter`.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import rewriter, sdk_catalogue
from bench.catalogue import SIZES
from bench.client import Client, body_of
from bench.stack import ENVOY, Stack, running
from bench.ways import WAYS, Way, policy_text, requests_for, verified

_MIN_LISTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One way at one size, once.

    Attributes:
        tools: how many the server has.
        bytes: of the body that arrived.
        way: its name.
        round: number of the round.
        ms: median time of a list, in milliseconds.
        service_us: CPU microseconds a list of the backend.
        envoy_us: CPU microseconds a list of Envoy.
    """

    tools: int
    bytes: int
    way: str
    round: int
    ms: float
    service_us: float
    envoy_us: float


def measure(seconds: float, rounds: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Measure; give everything as it goes into the JSON document.

    Args:
        seconds: about how long one sample may take; a sample is at least a few lists.
        rounds: how often every way is measured at every size.
        sizes: numbers of tools, of `catalogue.SIZES`.
    """
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "lists.yaml"
        policy.write_text(policy_text(), "utf-8")
        ready, peaks = _through(policy, "bench.catalogue", sizes, seconds, rounds)
        made, others = _through(policy, "bench.sdk_catalogue", (sdk_catalogue.SIZE,), seconds, rounds)
        alone = rewriter.measure(policy, sizes, seconds)
    return {
        "rows": rows(ready, peaks),
        "sdk": rows(made, others),
        "rewriter": alone,
        "samples": [dataclasses.asdict(sample) for sample in (*ready, *made)],
    }


def _through(
    policy: Path, upstream: str, sizes: tuple[int, ...], seconds: float, rounds: int
) -> tuple[list[Taken], dict[tuple[int, str], int]]:
    """Give the samples of lists of a server, and the backend's peak memory in KiB by size and way."""
    with running({}, policy=policy, upstream=upstream, populations=()) as stack:
        peaks = {(size, way.name): _peak(stack, size, way) for size in sizes for way in WAYS}
        return list(_samples(stack, sizes, seconds, rounds)), peaks


def _samples(stack: Stack, sizes: tuple[int, ...], seconds: float, rounds: int) -> Iterator[Taken]:
    for number in range(rounds):
        turned = WAYS[number % len(WAYS) :] + WAYS[: number % len(WAYS)]
        for size in sizes:
            for way in turned:
                yield _sample(stack, size, way, number, seconds)


def _sample(stack: Stack, size: int, way: Way, number: int, seconds: float) -> Taken:
    requests = requests_for(stack.mint, size, way)
    with Client(stack.backends[way.backend].port) as client:
        expected = verified(client.ask(requests[0]), size, way)
        before, began = _cpu(stack, way), time.perf_counter()
        times: list[float] = []
        while len(times) < _MIN_LISTS or time.perf_counter() < began + seconds:
            asked = time.perf_counter()
            answer = client.ask(requests[len(times) % len(requests)])
            times.append(time.perf_counter() - asked)
            if abs(len(body_of(answer)) - expected) > len("9" * 8):  # ids differ in length
                verified(answer, size, way)
        used = [after - earlier for earlier, after in zip(before, _cpu(stack, way), strict=True)]
    return Taken(
        tools=size,
        bytes=expected,
        way=way.name,
        round=number,
        ms=median(times) * 1e3,
        service_us=used[0] / len(times) * 1e6,
        envoy_us=used[1] / len(times) * 1e6,
    )


def _cpu(stack: Stack, way: Way) -> tuple[float, float]:
    return stack.cpu(way.backend), stack.cpu(ENVOY)


def _peak(stack: Stack, size: int, way: Way) -> int:
    """Give the most memory in KiB that the backend had while it looked through such lists, one at a time."""
    stack.forget_peak(way.backend)
    with Client(stack.backends[way.backend].port) as client:
        for request in requests_for(stack.mint, size, way)[:_MIN_LISTS]:
            client.ask(request)
    return stack.status(way.backend)["VmHWM"]


def rows(taken: list[Taken], peaks: dict[tuple[int, str], int]) -> list[dict[str, Any]]:
    """Summarise: medians over rounds, and ratios to the untrimmed list of the same size and round."""
    groups: dict[tuple[int, str], dict[int, Taken]] = {}
    for sample in taken:
        groups.setdefault((sample.tools, sample.way), {})[sample.round] = sample
    return [_row(group, groups[key[0], WAYS[0].name], peaks[key]) for key, group in groups.items()]


def _row(group: dict[int, Taken], untrimmed: dict[int, Taken], peak: int) -> dict[str, Any]:
    first = next(iter(group.values()))
    ratios = [sample.ms / untrimmed[number].ms for number, sample in group.items()]
    return {
        "tools": first.tools,
        "bytes": first.bytes,
        "way": first.way,
        "ms": median(sample.ms for sample in group.values()),
        "service_us": median(sample.service_us for sample in group.values()),
        "envoy_us": median(sample.envoy_us for sample in group.values()),
        "ratio": median(ratios),
        "spread": (min(ratios), max(ratios)),
        "peak_kib": peak,
    }

"""Lists of tools by size: untrimmed, examined with nothing to remove, and with every second tool removed.

All of them come through one Envoy, one list at a time, from a server that has its lists ready (see `catalogue`), and
from one on the official SDK. Untrimmed is the listener of the bare handler, which lets every response pass; the others
are the service's, for callers who may use all tools and for callers who may use half of them. What the rewriter itself
costs is measured once more without gRPC, see `rewriter`.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench import rewriter
from bench.catalogue import SDK_SIZE, SIZES
from bench.client import HttpConnection, body_of
from bench.list_variants import LIST_VARIANTS, ListVariant, policy_text, requests_for, verified
from bench.samples import Fields, rotated, summarise
from bench.stack import ENVOY, RunningStack, running

_MIN_LISTS = 3
_ID_CHARS = 8
"""Answers to the same list differ in length by no more than the ids of their requests."""


def measure(
    seconds: float, rounds: int, sizes: tuple[int, ...] = SIZES, sdk_size: int = SDK_SIZE
) -> dict[str, Any]:
    """Measure, and return the part as it goes into the JSON document.

    Args:
        seconds: about how long one sample may take; a sample is at least a few lists.
        rounds: how often every variant is measured at every size.
        sizes: numbers of tools, of `catalogue.SIZES`.
        sdk_size: number of tools of the server on the official SDK.
    """
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "lists.yaml"
        policy.write_text(policy_text(), "utf-8")
        ready = _through(policy, ("bench.catalogue",), sizes, seconds, rounds)
        made = _through(policy, ("bench.catalogue", "--sdk", str(sdk_size)), (sdk_size,), seconds, rounds)
        alone = rewriter.measure(policy, sizes, seconds)
    return {"rows": _rows(ready), "sdk": _rows(made), "rewriter": alone, "samples": [*ready, *made]}


def _rows(samples: list[Fields]) -> list[dict[str, Any]]:
    medians = ("bytes", "ms", "service_us", "envoy_us", "peak_kib")
    return summarise(samples, ("tools", "variant"), {"variant": LIST_VARIANTS[0].name}, medians, ("ms",))


def _through(
    policy: Path, upstream: tuple[str, ...], sizes: tuple[int, ...], seconds: float, rounds: int
) -> list[Fields]:
    with running({}, policy=policy, upstream=upstream, populations=()) as stack:
        peaks = {(size, one): _peak(stack, size, one) for size in sizes for one in LIST_VARIANTS}
        return [
            {"round": number, "peak_kib": peaks[size, variant], **_sample(stack, size, variant, seconds)}
            for number in range(rounds)
            for size in sizes
            for variant in rotated(LIST_VARIANTS, number)
        ]


def _sample(stack: RunningStack, size: int, variant: ListVariant, seconds: float) -> Fields:
    requests = requests_for(stack.mint, size, variant)
    with HttpConnection(stack.backends[variant.backend].port) as connection:
        expected = verified(connection.ask(requests[0]), size, variant)
        before, began = _cpu(stack, variant), time.perf_counter()
        times: list[float] = []
        while len(times) < _MIN_LISTS or time.perf_counter() < began + seconds:
            asked = time.perf_counter()
            answer = connection.ask(requests[len(times) % len(requests)])
            times.append(time.perf_counter() - asked)
            if abs(len(body_of(answer)) - expected) > _ID_CHARS:
                verified(answer, size, variant)
        used = [after - earlier for earlier, after in zip(before, _cpu(stack, variant), strict=True)]
    return {
        "tools": size,
        "variant": variant.name,
        "bytes": expected,
        "ms": median(times) * 1e3,
        "service_us": used[0] / len(times) * 1e6,
        "envoy_us": used[1] / len(times) * 1e6,
    }


def _cpu(stack: RunningStack, variant: ListVariant) -> tuple[float, float]:
    return stack.cpu(variant.backend), stack.cpu(ENVOY)


def _peak(stack: RunningStack, size: int, variant: ListVariant) -> int:
    """Return the backend's peak memory in KiB while it handles such lists, one at a time."""
    stack.reset_peak(variant.backend)
    with HttpConnection(stack.backends[variant.backend].port) as connection:
        for request in requests_for(stack.mint, size, variant)[:_MIN_LISTS]:
            connection.ask(request)
    return stack.memory(variant.backend)["VmHWM"]

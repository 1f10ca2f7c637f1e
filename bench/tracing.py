"""`python -m bench.tracing`: what tracing costs a Check, with everything that makes spans of it but the socket.

Allowed calls with a cached token are decided in this process, in turns: without tracing, and with it at several shares of
sampled requests, as Envoy's `traceparent` says. Figures are CPU time of the whole process for one Check, so the thread that
makes and encodes spans is in them, and ratios are to the same round without tracing.

`python -m bench.tracing count SHARE N` decides N calls once and prints nothing: for a counter of instructions, such as
`valgrind --tool=cachegrind --cache-sim=no`. The difference of two N is what the calls between them cost. SHARE `off` does
without tracing.
"""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

from authz.edge.envoy.ext_authz import Checker
from authz.edge.tracing.export import SpanQueue
from authz.edge.tracing.otlp import SpanEncoder
from authz.edge.tracing.spans import Span
from authz.edge.tracing.tracer import Tracer
from bench.samples import rotated
from bench.stages import service_for, settings_of
from bench.workload import FULL, Mint, check_request, http_request

ROUNDS, CALLS = 31, 2000
SHARES: Sequence[float | None] = (None, 0.0, 0.01, 0.1, 1.0)
"""Sampled requests; None for no tracing."""
_GRPC = (
    ("user-agent", "grpc-c++/1.60.0 grpc-c/38.0.0"),
    ("accept-encoding", "identity,deflate,gzip"),
    ("x-envoy-internal", "true"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-request-id", "7f1c9f1e-3f0f-4a52-8f6f-2f3c53c5a4a1"),
)
"""What comes before the `traceparent` in the metadata of an Envoy's call."""
_SPAN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"


class _Sink:
    """Encodes spans as a collector gets them, and sends them nowhere."""

    where = ""

    def __init__(self) -> None:
        self._encoder = SpanEncoder(authorization=False, environment={})

    def send(self, spans: Sequence[Span]) -> int:
        self._encoder.encode(spans)
        return len(spans)

    def close(self) -> None:
        pass


class _Call:
    """The call of a Check for which no key has to be fetched."""

    def __init__(self, flag: int) -> None:
        self.metadata = (*_GRPC, ("traceparent", f"{_SPAN}{flag}"))


_PLAIN, _SAMPLED = _Call(0), _Call(1)


def calls(share: float, count: int) -> Iterator[_Call]:
    """Return calls, of which a share is sampled, evenly spread."""
    due = 0.0
    for _ in range(count):
        due += share
        yield _SAMPLED if due >= 1 else _PLAIN
        due -= due >= 1


@contextlib.contextmanager
def tracing(checker: Checker, share: float | None) -> Iterator[None]:
    """Trace the Checks in the block, and send every span before it ends."""
    if share is None:
        yield
        return
    sending = SpanQueue(_Sink(), size=1_000_000, count=lambda _outcome, _count: None)
    tracer = Tracer(sending, percent=0)
    tracer.time_stages = checker._time_stages  # noqa: SLF001 - the bench looks inside on purpose
    checker.trace = tracer
    try:
        yield
    finally:
        checker.trace = None
        sending.close(60.0)


async def _decide(checker: Checker, message: bytes, share: float, count: int) -> None:
    for call in calls(share, count):
        await checker.check(message, call)  # type: ignore[arg-type]  # all that a cached call needs of it


def seconds(checker: Checker, message: bytes, share: float | None, count: int) -> float:
    """Decide; return the CPU seconds of this process for one Check."""
    began = time.process_time()
    with tracing(checker, share):
        asyncio.run(_decide(checker, message, share or 0.0, count))
    return (time.process_time() - began) / count


@contextlib.contextmanager
def prepared() -> Iterator[tuple[Checker, bytes]]:
    """Return a handler whose caches know the caller, and the caller's request."""
    mint = Mint()
    message = check_request(http_request(1, "echo", {"text": "hello"}, mint.token("path", 1, FULL)))
    with service_for(settings_of(mint)) as service:
        checker = service.checker()
        asyncio.run(_decide(checker, message, 0.0, 100))
        yield checker, message


def main() -> None:
    """Print a table, or decide some calls for a counter of instructions."""
    with prepared() as (checker, message):
        if sys.argv[1:2] == ["count"]:
            share = None if sys.argv[2] == "off" else float(sys.argv[2])
            seconds(checker, message, share, int(sys.argv[3]))
            return
        found: dict[float | None, list[float]] = {share: [] for share in SHARES}
        for number in range(ROUNDS):
            for share in rotated(SHARES, number):
                found[share].append(seconds(checker, message, share, CALLS))
    print("sampled    us a Check   ratio to off, median [quartiles]")
    for share, samples in found.items():
        ratios = [one / off for one, off in zip(samples, found[None], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        name = "off" if share is None else f"{share:.0%}"
        print(f"{name:<8} {statistics.median(samples) * 1e6:12.1f}   {middle:.3f} [{low:.3f} {high:.3f}]")


if __name__ == "__main__":
    main()

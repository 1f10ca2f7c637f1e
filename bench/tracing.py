"""`python -m bench.tracing`: what tracing costs a Check, in this process and served.

In the first table allowed calls with a cached token are decided in this process, in turns: without tracing, and with it at
several shares of sampled requests, as Envoy's `traceparent` says. That is the handler alone, with everything that makes
spans of it but the socket: figures are CPU time of the whole process for one Check, so the thread that makes and encodes
spans is in them, and ratios are to the same round without tracing.

In the second table two services run, one without tracing and one that sends its spans to a collector, and get the same
calls over gRPC in turns, with the metadata that Envoy sends. Figures are CPU time of the service's process for one Check.

`python -m bench.tracing count SHARE N` decides N calls once and prints nothing: for a counter of instructions, such as
`valgrind --tool=cachegrind --cache-sim=no`. The difference of two N is what the calls between them cost. SHARE `off` does
without tracing.
"""

import asyncio
import contextlib
import gc
import itertools
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import grpc
import uvloop

from authz.demo.ports import free_port
from authz.demo.processes import Child
from authz.edge.envoy.ext_authz import Checker
from authz.edge.tracing.export import INTERVAL, SpanQueue
from authz.edge.tracing.otlp import SpanEncoder
from authz.edge.tracing.spans import Span
from authz.edge.tracing.tracer import Tracer
from bench import proc
from bench.load import METHOD, send_checks
from bench.samples import rotated
from bench.stack import POLICY, Processes, serve, service_metric, start_issuer
from bench.stages import service_for, settings_of
from bench.workload import FULL, Mint, check_request, http_request

ROUNDS, CALLS = 15, 10_000
SHARES: Sequence[float | None] = (None, 0.0, 0.01, 0.1, 1.0)
"""Sampled requests; None for no tracing."""
SERVED_SHARES: Sequence[float | None] = (None, 0.0, 0.01)
SERVED_ROUNDS, SERVED_SECONDS, AT_ONCE = 9, 2.0, 16
"""Of the second table; calls under way at once."""
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
        self.metadata = f"{_SPAN}{flag}"


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
    checker.trace = Tracer(sending, percent=0)
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


class _Collector(BaseHTTPRequestHandler):
    """Takes every batch of spans and keeps none."""

    def do_POST(self) -> None:
        """Read a batch, and accept it."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def collector() -> Iterator[str]:
    """Return the URL of a collector in this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def _load(address: str, message: bytes, share: float, seconds: float) -> None:
    """Send Checks for some seconds, of which a share is sampled."""
    async with grpc.aio.insecure_channel(address) as channel:
        method = channel.unary_unary(METHOD)
        metadata = ((*_GRPC, ("traceparent", call.metadata)) for call in calls(share, sys.maxsize))

        def call(message: bytes, *, timeout: float) -> Any:
            return method(message, timeout=timeout, metadata=next(metadata))

        end = time.perf_counter() + seconds
        messages = itertools.takewhile(lambda _: time.perf_counter() < end, itertools.repeat(message))
        await send_checks(call, messages, AT_ONCE)


def served() -> Mapping[float | None, list[float]]:
    """Return the CPU seconds of the service for one Check, by share, a sample for each round."""
    mint = Mint()
    message = check_request(http_request(1, "echo", {"text": "hello"}, mint.token("path", 1, FULL)))
    found: dict[float | None, list[float]] = {share: [] for share in SERVED_SHARES}
    with collector() as url, Processes() as processes:
        keys = {"BENCH_JWKS": start_issuer(processes, mint)}
        for number in range(SERVED_ROUNDS):
            services = [_Served(processes, f"{flag}{number}", keys, message) for flag in ("off", "traced")]
            processes.start(services[0].child())
            processes.start(services[1].child("--otlp", url))
            for service in services:
                service.load(0.0, SERVED_SECONDS)
            for share in rotated(SERVED_SHARES, number):
                found[share].append(services[share is not None].seconds(share or 0.0))
            for service in services:
                processes.stop(service.name)
    return found


class _Served:
    """A service of one round. Two processes differ by a few percent only because they lie elsewhere, so each lives one round."""

    def __init__(self, processes: Processes, name: str, keys: Mapping[str, str], message: bytes) -> None:
        self.name, self._processes, self._keys, self._message = name, processes, keys, message
        self._socket = f"unix:{processes.logs}/{name}.sock"
        self._http = f"127.0.0.1:{free_port()}"

    def child(self, *flags: str) -> Child:
        """Return the service as a child."""
        return serve(self.name, self._socket, self._http, POLICY, self._keys, "--grace", "0", *flags)

    def load(self, share: float, seconds: float) -> None:
        """Send Checks for some seconds, and wait until the last batch of spans is sent."""
        uvloop.run(_load(self._socket, self._message, share, seconds))
        time.sleep(INTERVAL + 0.1)

    def seconds(self, share: float) -> float:
        """Return the CPU seconds for one Check under a load."""
        pid = self._processes.pid(self.name)
        allowed, used = _allowed(self._http), proc.cpu_seconds(pid)
        self.load(share, SERVED_SECONDS)
        used = proc.cpu_seconds(pid) - used
        return used / (_allowed(self._http) - allowed)


def _allowed(http: str) -> int:
    return service_metric(http, "mcp_authz_decisions_total", "decision").get("allow", 0)


def table(title: str, found: Mapping[float | None, list[float]]) -> None:
    """Print what a Check costs by share, and its ratio to the same round without tracing."""
    print(f"{title:<24} us a Check   ratio to off, median [quartiles]")
    for share, samples in found.items():
        ratios = [one / off for one, off in zip(samples, found[None], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        name = "off" if share is None else f"{share:.0%}"
        print(f"{name:<24} {statistics.median(samples) * 1e6:10.1f}   {middle:.3f} [{low:.3f} {high:.3f}]")


def main() -> None:
    """Print both tables, or decide some calls for a counter of instructions."""
    with prepared() as (checker, message):
        if sys.argv[1:2] == ["count"]:
            share = None if sys.argv[2] == "off" else float(sys.argv[2])
            seconds(checker, message, share, int(sys.argv[3]))
            return
        gc.collect()
        gc.freeze()  # as `serve` does
        found: dict[float | None, list[float]] = {share: [] for share in SHARES}
        for number in range(ROUNDS):
            for share in rotated(SHARES, number):
                found[share].append(seconds(checker, message, share, CALLS))
        table("handler alone, sampled", found)
    table("served, sampled", served())


if __name__ == "__main__":
    main()

"""The load generators.

* `over_http` is wrk: every connection waits for its answer before it sends again (a closed loop).
* `at_rate` keeps a schedule instead. A request has a moment at which it is due, and its time counts from there: a
  generator that sends less while the server is slow leaves out the very moments that a percentile is about
  (coordinated omission). wrk has no such mode, so this one is our own: a thread for each connection, because
  `time.sleep` counts microseconds where an event loop's timers count milliseconds.
* `over_grpc` is Python's gRPC client, because h2load sends one and the same message and here every call differs. It
  costs about as much as the service: read the service's CPU time, not the rate.
"""

import asyncio
import itertools
import json
import math
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import uvloop
from envoy.service.auth.v3 import external_auth_pb2

from bench.client import WARM_UP, HttpConnection

METHOD = "/envoy.service.auth.v3.Authorization/Check"
PACKAGES = {"wrk": "wrk", "h2load": "nghttp2-client"}
"""A program that is needed, and the Debian package that has it."""
OPEN_CONNECTIONS = 64
"""Connections of a load at a fixed rate: as many requests may be under way before one waits for another."""

_pb: Any = external_auth_pb2
_SCRIPT = Path(__file__).with_name("wrk.lua")
_MARK = "\nresult "
_GRACE = 30.0
_LEAD = 0.1
"""Seconds in which threads are started, before the first request is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a generator measured; p999_ms takes thousands of calls to mean anything.

    Attributes:
        busy: share of the time in which the generator used a core; near 1 it measured itself.
        late_ms: 99th percentile of how late a request was sent; 0 where no schedule was kept.
    """

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    busy: float
    late_ms: float = 0.0


def require(*programs: str) -> None:
    """Exit with the name of the package to install if a program is not on the PATH."""
    for program in programs:
        if shutil.which(program) is None:
            msg = f"{program} is needed (Debian: apt-get install {PACKAGES[program]})"
            raise SystemExit(msg)


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of ordered values that only the rest, `1 - share` of them, exceeds."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _summary(times: Sequence[float], seconds: float, busy: float, late: Sequence[float] = (0.0,)) -> Load:
    ordered = sorted(times)
    return Load(
        calls=len(ordered),
        seconds=seconds,
        p50_ms=percentile(ordered, 0.5) * 1e3,
        p99_ms=percentile(ordered, 0.99) * 1e3,
        p999_ms=percentile(ordered, 0.999) * 1e3,
        busy=busy / seconds,
        late_ms=percentile(sorted(late), 0.99) * 1e3,
    )


def over_http(port: int, connections: int, seconds: float, file: Path, start: int) -> Load:
    """Load a listener on loopback with wrk, which takes whole seconds only.

    Args:
        port: its port.
        connections: each waits for an answer before it sends again.
        seconds: how long; rounded up.
        file: the requests, see `workload.to_file`.
        start: number of the first request.

    Raises:
        RuntimeError: wrk failed, or a request did.
    """
    whole = math.ceil(seconds)
    argv = [
        "wrk",
        "-t",
        "1",
        "-c",
        str(connections),
        "-d",
        f"{whole}s",
        "--timeout",
        "5s",
        "-s",
        str(_SCRIPT),
    ]
    worked = children_seconds()
    output = _run([*argv, f"http://127.0.0.1:{port}/mcp", "--", str(file), str(start)], whole)
    found = json.loads(output.rpartition(_MARK)[2])
    if found.pop("errors"):
        msg = f"wrk reports errors: {output}"
        raise RuntimeError(msg)
    return Load(**found, busy=(children_seconds() - worked) / found["seconds"])


def children_seconds() -> float:
    """Return the CPU seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(argv: list[str], seconds: float) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + _GRACE, check=False)
    if done.returncode:
        msg = f"{argv[0]} ended with status {done.returncode}: {done.stderr[-2000:]}"
        raise RuntimeError(msg)
    return done.stdout


def at_rate(port: int, rate: float, seconds: float, requests: Sequence[bytes], start: int) -> Load:
    """Load a listener with `rate` requests a second, whether it keeps up or not.

    Raises:
        OSError: a connection was closed, or an answer did not arrive in time.
    """
    count = max(1, int(rate * seconds))
    with ExitStack() as stack:
        idle: SimpleQueue[HttpConnection] = SimpleQueue()
        for _ in range(OPEN_CONNECTIONS):
            idle.put(stack.enter_context(HttpConnection(port)))
        pool = stack.enter_context(ThreadPoolExecutor(OPEN_CONNECTIONS))
        began, worked = time.perf_counter() + _LEAD, time.process_time()
        due = (began + number / rate for number in range(count))
        sent = list(pool.map(partial(_send_when_due, idle), due, from_number(requests, start)))
        whole, busy = time.perf_counter() - began, time.process_time() - worked
    return _summary([took for took, _ in sent], whole, busy, [late for _, late in sent])


def _send_when_due(idle: SimpleQueue[HttpConnection], due: float, request: bytes) -> tuple[float, float]:
    """Return the seconds from when a request was due until it was answered, and until it was sent."""
    time.sleep(max(0.0, due - time.perf_counter()))
    connection = idle.get()
    late = time.perf_counter() - due
    try:
        connection.ask(request)
    finally:
        idle.put(connection)  # after an error too, so that other requests fail instead of waiting
    return time.perf_counter() - due, late


def from_number(requests: Sequence[bytes], start: int) -> Iterator[bytes]:
    """Return the requests over and over, beginning with number `start`."""
    return itertools.islice(itertools.cycle(requests), start % len(requests), None)


def over_grpc(
    address: str, connections: int, seconds: float, checks: Iterator[bytes], *, denied: bool
) -> Load:
    """Load a gRPC server with Checks, `connections` at a time over one channel, after `WARM_UP` that are not measured.

    Raises:
        RuntimeError: one of the first Checks was not answered as `denied` says.
    """
    return uvloop.run(_over_grpc(address, connections, seconds, checks, denied=denied))


async def _over_grpc(
    address: str, connections: int, seconds: float, checks: Iterator[bytes], *, denied: bool
) -> Load:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        for _ in range(WARM_UP):
            response = _pb.CheckResponse.FromString(await call(next(checks), timeout=5.0))
            if (response.status.code != 0) != denied:
                wanted = "denied" if denied else "allowed"
                msg = f"expected a Check to be {wanted}, got code {response.status.code}"
                raise RuntimeError(msg)
        began, worked = time.perf_counter(), time.process_time()
        timely = itertools.takewhile(lambda _: time.perf_counter() < began + seconds, checks)
        times = await send_checks(call, timely, connections)
        return _summary(times, time.perf_counter() - began, time.process_time() - worked)


async def send_checks(
    call: grpc.aio.UnaryUnaryMultiCallable, checks: Iterator[bytes], at_once: int
) -> list[float]:
    """Send every Check, `at_once` at a time; return the seconds each took."""
    times: list[float] = []

    async def caller() -> None:
        for check in checks:
            began = time.perf_counter()
            await call(check, timeout=10.0)
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return times

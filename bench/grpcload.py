"""A gRPC load generator: Checks as Envoy would send them, so many at a time over one channel.

It is Python like the service and costs about as much, so on few cores the rate it reaches says as much about itself;
the service's CPU time per call is the figure to read.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import uvloop
from envoy.service.auth.v3 import external_auth_pb2

from bench.httpload import MAX_SECONDS, arguments, summary
from bench.warm import CALLS
from bench.workload import check_request, from_file

_pb: Any = external_auth_pb2
METHOD = "/envoy.service.auth.v3.Authorization/Check"


async def _caller(
    call: grpc.aio.UnaryUnaryMultiCallable, source: Iterator[bytes], until: float
) -> list[float]:
    times: list[float] = []
    now = time.perf_counter()
    while now < until:
        began = now
        await call(next(source), timeout=5.0)
        now = time.perf_counter()
        times.append(now - began)
    return times


async def _warm(call: grpc.aio.UnaryUnaryMultiCallable, source: Iterator[bytes], *, denied: bool) -> None:
    for _ in range(CALLS):
        response = _pb.CheckResponse.FromString(await call(next(source), timeout=5.0))
        if (response.status.code != 0) != denied:
            msg = (
                f"expected a Check to be {'denied' if denied else 'allowed'}, got code {response.status.code}"
            )
            raise RuntimeError(msg)


async def generate(
    address: str, connections: int, seconds: float, requests: list[bytes], start: int, *, denied: bool
) -> dict[str, float]:
    """Send Checks in turn, beginning with number `start`, `connections` at a time for so many seconds.

    Raises:
        RuntimeError: an answer to the first `warm.CALLS`, which are not measured, was not of the kind that `denied` says.
    """
    source = itertools.islice(itertools.cycle(requests), start % len(requests), None)
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.unary_unary(METHOD)
        await _warm(call, source, denied=denied)
        began, worked = time.perf_counter(), time.process_time()
        callers = (_caller(call, source, began + seconds) for _ in range(connections))
        times = [value for part in await asyncio.gather(*callers) for value in part]
        return summary(times, time.perf_counter() - began, time.process_time() - worked)


def main() -> None:
    """Run once; print the result as JSON."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--address", required=True, metavar="unix:PATH")
    parser.add_argument("--denied", action="store_true")
    given = parser.parse_args()
    requests = [check_request(request) for request in from_file(given.file.read_bytes())]
    seconds = min(given.seconds, MAX_SECONDS)
    load = generate(given.address, given.connections, seconds, requests, given.start, denied=given.denied)
    result = uvloop.run(load)
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

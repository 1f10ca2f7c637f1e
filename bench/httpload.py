"""An HTTP/1.1 load generator for loopback: keep-alive connections that each wait for their answer.

It knows what it is talking to: requests are ready-made bytes, answers have a content-length. That keeps it well ahead
of what it measures; `busy` in its result tells whether that was so. Bounded in time, connections and place.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import uvloop

from authz.demo.ports import loopback
from bench.workload import from_file

MAX_CONNECTIONS = 256
MAX_SECONDS = 120.0
_GRACE = 5.0
_LENGTH = b"content-length: "


class Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, notes the time, sends the next."""

    def __init__(self, requests: Iterator[bytes], deadline: float, times: list[float]) -> None:
        """Take requests from a shared iterator until `deadline`, a moment on the performance counter."""
        self._requests = requests
        self._deadline = deadline
        self._times = times
        self._missing = 0
        self._head = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; sending begins with `send`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class is not derived from it

    def send(self) -> None:
        """Send the next request."""
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._head += data
            self._missing = answer_missing(self._head)
            if self._missing < 0:
                self._missing = 0
                return
        if self._missing == 0:
            self._answered()

    def _answered(self) -> None:
        self._head = b""
        now = time.perf_counter()
        self._times.append(now - self._sent)
        if now < self._deadline:
            self.send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Fail when the other end hangs up in the middle."""
        if not self.done.done():
            self.done.set_exception(error or ConnectionResetError("closed in the middle"))


def answer_missing(received: bytes) -> int:
    """Tell how many bytes of an answer are still to come; -1 while its head is incomplete."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return -1
    at = received.index(_LENGTH, 0, end) + len(_LENGTH)
    return end + 4 + int(received[at : received.index(b"\r", at)]) - len(received)


def summary(times: list[float], seconds: float, busy: float) -> dict[str, float]:
    """Describe a run: calls, seconds, percentiles in ms, and the share of the time this process was busy."""
    times.sort()
    return {
        "calls": len(times),
        "seconds": seconds,
        "p50_ms": percentile(times, 0.5) * 1e3,
        "p99_ms": percentile(times, 0.99) * 1e3,
        "p999_ms": percentile(times, 0.999) * 1e3,
        "busy": busy / seconds,
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Give the smallest of ordered values that is exceeded by at most the rest, `1 - share`, of them."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def generate(
    port: int, connections: int, seconds: float, requests: list[bytes], start: int
) -> dict[str, float]:
    """Send requests in turn, beginning with number `start`, from so many connections for so many seconds."""
    loop = asyncio.get_running_loop()
    source = itertools.islice(itertools.cycle(requests), start % len(requests), None)
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    made = [
        await loop.create_connection(lambda: Connection(source, deadline, times), "127.0.0.1", port)
        for _ in range(connections)
    ]
    began, worked = time.perf_counter(), time.process_time()
    for _, connection in made:
        connection.send()
    async with asyncio.timeout(seconds + _GRACE):
        await asyncio.gather(*(connection.done for _, connection in made))
    return summary(times, time.perf_counter() - began, time.process_time() - worked)


def arguments(doc: str) -> argparse.ArgumentParser:
    """Make the parser of what both generators take."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument(
        "--connections", type=int, required=True, choices=range(1, MAX_CONNECTIONS + 1), metavar="N"
    )
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    return parser


def main() -> None:
    """Run once; print the result as JSON."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--host", type=loopback, default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    requests = from_file(given.file.read_bytes())
    seconds = min(given.seconds, MAX_SECONDS)
    result = uvloop.run(generate(given.port, given.connections, seconds, requests, given.start))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()

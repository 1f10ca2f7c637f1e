"""An HTTP/1.1 load generator that keeps a schedule: so many requests a second, whether answers come in time or not.

Rules of this module:

* A request has a moment at which it is meant to be sent, and its time counts from there. Where all connections wait,
  or the generator itself is late, that wait is part of the time; a generator that sends less while the server is slow
  would leave out the very moments that a percentile is about (coordinated omission).
* `select` is used because its timeout counts microseconds; event loops round theirs to milliseconds.
* What the generator was late by is a figure of its own: near the times that it reports, it measured itself.
"""

import itertools
import json
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator

from authz.demo.ports import loopback
from bench.httpload import MAX_SECONDS, answer_missing, arguments, percentile, summary
from bench.workload import from_file

MAX_RATE = 20_000.0
_GRACE = 5.0


class _Connection:
    """A keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_GRACE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.meant = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes, meant: float) -> None:
        self.meant = meant
        self._socket.sendall(request)

    def answered(self) -> bool:
        """Take what has come; tell whether the answer is whole."""
        part = self._socket.recv(65_536)
        if not part:
            msg = "closed in the middle of an answer"
            raise ConnectionResetError(msg)
        self._received += part
        if answer_missing(self._received):
            return False
        self._received = b""
        return True

    def close(self) -> None:
        self._socket.close()


class Schedule:
    """The requests of one load, each with the moment at which it is meant to be sent."""

    def __init__(
        self, connections: list[_Connection], requests: Iterator[bytes], rate: float, total: int
    ) -> None:
        """Plan `total` requests, `rate` a second, beginning now."""
        self._idle = connections
        self._requests = requests
        self._began = time.perf_counter()
        self._planned = deque(self._began + number / rate for number in range(total))
        self._under_way: set[_Connection] = set()
        self.times: list[float] = []
        self.late: list[float] = []

    def run(self, limit: float) -> float:
        """Send everything and wait for the answers; give the seconds it took.

        Raises:
            TimeoutError: it took more than `limit` seconds.
        """
        while self._planned or self._under_way:
            now = time.perf_counter()
            if now - self._began > limit:
                msg = f"{len(self._planned)} requests were still to be sent after {limit:g} s"
                raise TimeoutError(msg)
            self._send_due(now)
            self._receive(self._until_next())
        return time.perf_counter() - self._began

    def _send_due(self, now: float) -> None:
        while self._idle and self._planned and self._planned[0] <= now:
            connection, meant = self._idle.pop(), self._planned.popleft()
            connection.send(next(self._requests), meant)
            self._under_way.add(connection)
            self.late.append(now - meant)

    def _until_next(self) -> float:
        if not self._planned or not self._idle:
            return _GRACE
        return max(0.0, self._planned[0] - time.perf_counter())

    def _receive(self, wait: float) -> None:
        for connection in select.select(list(self._under_way), (), (), wait)[0]:
            if connection.answered():
                self.times.append(time.perf_counter() - connection.meant)
                self._under_way.remove(connection)
                self._idle.append(connection)


def generate(
    port: int, connections: int, rate: float, seconds: float, requests: list[bytes], start: int
) -> dict[str, float]:
    """Send `rate` requests a second for so many seconds, beginning with number `start`."""
    source = itertools.islice(itertools.cycle(requests), start % len(requests), None)
    made = [_Connection(port) for _ in range(connections)]
    try:
        schedule = Schedule(list(made), source, rate, max(1, int(rate * seconds)))
        worked = time.process_time()
        took = schedule.run(seconds + _GRACE)
        found = summary(schedule.times, took, time.process_time() - worked)
    finally:
        for connection in made:
            connection.close()
    return {**found, "late_ms": percentile(sorted(schedule.late), 0.99) * 1e3}


def main() -> None:
    """Run once; print the result as JSON."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--host", type=loopback, default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    given = parser.parse_args()
    requests = from_file(given.file.read_bytes())
    rate, seconds = min(given.rate, MAX_RATE), min(given.seconds, MAX_SECONDS)
    json.dump(generate(given.port, given.connections, rate, seconds, requests, given.start), sys.stdout)


if __name__ == "__main__":
    main()

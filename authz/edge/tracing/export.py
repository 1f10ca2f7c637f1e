"""The queue of spans, and the thread that makes them of what the request path left and sends them.

Nobody waits for it: a span that finds no room is dropped and counted, and so is one that the collector does not take.
Spans that nobody sampled, as those of denials, can be caused by anyone at no cost. So there are at most
`UNSAMPLED_PER_SECOND` of them, and they find no room in the second half of the queue: that is for what was sampled.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from authz.edge.otlp.variables import CURE
from authz.edge.tracing.spans import Span

INTERVAL = 1.0
"""Seconds between two batches."""
CLOSE_SECONDS = 5.0
"""Longest time that `close` waits for the last batch."""
UNSAMPLED_PER_SECOND = 100
"""Spans that nobody sampled, in the long run; as many may come at once."""
_BATCH = 512
_LOG = structlog.get_logger("authz.tracing")


class NotTakenError(Exception):
    """A batch was not taken; the text says why, and holds nothing secret."""


class Collector(Protocol):
    """Where spans go; `where` is what the log calls it."""

    where: str

    def send(self, spans: Sequence[Span]) -> int:
        """Send some; return how many were taken. It may take seconds.

        Raises:
            NotTakenError: none was.
        """

    def close(self) -> None:
        """Abandon what is under way, and send nothing more."""


class SpanQueue:
    """Sends spans until it is closed; `add` and `admit_unsampled` may be called by any thread."""

    def __init__(
        self,
        collector: Collector,
        *,
        size: int,
        count: Callable[[str, int], None],
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to send.

        Args:
            collector: takes the spans.
            size: spans that may wait.
            count: counts spans by what became of them: `exported`, `failed` or `dropped`.
            interval: seconds between two batches.
            clock: gives seconds.
        """
        self._collector, self._size, self._count, self._interval = collector, size, count, interval
        self._waiting: deque[Span] = deque()
        self._clock, self._budget, self._filled = clock, float(UNSAMPLED_PER_SECOND), clock()
        self._stop = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Queue a span; never wait."""
        if len(self._waiting) >= self._size:
            self._count("dropped", 1)
        else:
            self._waiting.append(span)

    def admit_unsampled(self) -> bool:
        """Return whether a span that nobody sampled may be made and added; one that may not is counted as dropped.

        Two threads that ask at once can take one place twice, which does no harm.
        """
        now = self._clock()
        budget = min(UNSAMPLED_PER_SECOND, self._budget + (now - self._filled) * UNSAMPLED_PER_SECOND)
        self._filled = now
        admitted = budget >= 1 and len(self._waiting) * 2 < self._size
        self._budget = budget - admitted
        if not admitted:
            self._count("dropped", 1)
        return admitted

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, then stop; give up on a collector that takes nothing for this many seconds."""
        self._stop.set()
        self._thread.join(seconds)
        self._collector.close()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        for _ in range(self._size):  # what comes meanwhile is for the next time
            if not self._waiting:
                return
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
            self._send(batch)

    def _send(self, batch: Sequence[Span]) -> None:
        problem = ""
        try:
            taken = self._collector.send(batch)
        except NotTakenError as error:
            taken, problem = 0, str(error)
        except Exception as error:  # noqa: BLE001 - whatever a library raises, tracing must end nothing
            taken, problem = 0, type(error).__name__
            _LOG.error("spans cannot be made", error=problem)
        for outcome, number in (("exported", taken), ("failed", len(batch) - taken)):
            if number:
                self._count(outcome, number)
        self._tell(taken == len(batch), problem or "the collector rejected some of them")

    def _tell(self, taken: bool, problem: str) -> None:
        if taken != self._failing:  # told once, and not for each batch
            return
        self._failing = not taken
        if taken:
            _LOG.info("spans are exported again")
            return
        _LOG.warning(
            "spans are not exported",
            collector=self._collector.where,
            problem=problem,
            cure=CURE,
        )

"""The audit log: one JSON line a decision, written off the request path.

A decision is only appended to a bounded queue. Every so often the worker's event loop describes and encodes what waits,
many records in one go, and hands the bytes to a thread that writes them. The thread holds the interpreter's lock only
to take them, so it does not compete with decisions. When either queue is full, records are dropped and counted: a slow
reader of the log must not become a slow gateway.
"""

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from authz.core.decision import Decision
from authz.edge.record import Facts, make_record

_ENCODE = msgspec.json.Encoder().encode
_INTERVAL = 0.05
_BATCH = 500
"""Records encoded at once before other work of the loop has its turn."""
_CLOSE_SECONDS = 5.0
"""Longest wait for a reader that does not read, when the log is closed."""
_BATCHES = 256
"""Encoded batches that may wait to be written."""


class Stream(Protocol):
    """Where records go."""

    def write(self, data: memoryview, /) -> int | None:
        """Write some of the bytes and tell how many; raise OSError when that cannot be."""


class AuditLog:
    """Writes records to a binary stream until it is closed.

    The stream should be unbuffered, so that a batch is one write and no line of another stream to the same file can come
    between the halves of a record.
    """

    def __init__(self, stream: Stream, *, size: int = 65_536) -> None:
        """Begin to write; at most `size` records wait. `on_drop`, to be set, is called for each that is not written."""
        self.on_drop: Callable[[], None] = lambda: None
        self._stream = stream
        self._size = size
        self._waiting: deque[tuple[Decision, Facts, float]] = deque()
        self._encoded: queue.Queue[tuple[bytes, int] | None] = queue.Queue(_BATCHES)
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._thread.start()

    def write(self, decision: Decision, facts: Facts, seconds: float) -> None:
        """Queue the record of a decision that took so many seconds; never waits."""
        if len(self._waiting) >= self._size:
            self.on_drop()
            return
        self._waiting.append((decision, facts, seconds))

    async def run(self) -> None:
        """Encode what waits, until cancelled."""
        while True:
            more = self.encode() == _BATCH
            await asyncio.sleep(0 if more else _INTERVAL)

    def encode(self) -> int:
        """Encode one batch and hand it to the writing thread; gives its number of records."""
        waiting = self._waiting
        count = min(len(waiting), _BATCH)
        if count:
            lines = b"".join([_ENCODE(make_record(*waiting.popleft())) + b"\n" for _ in range(count)])
            try:
                self._encoded.put_nowait((lines, count))
            except queue.Full:
                self._drop(count)
        return count

    def close(self) -> None:
        """Encode and write what waits, then stop."""
        while self._waiting:
            self.encode()
        with contextlib.suppress(queue.Full):
            self._encoded.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)

    def _write_all(self) -> None:
        while (batch := self._encoded.get()) is not None:
            lines, count = batch
            try:
                rest = memoryview(lines)
                while rest:
                    rest = rest[self._stream.write(rest) or 0 :]
            except (OSError, ValueError):  # a closed or full stream must not end the thread, nor the service
                self._drop(count)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self.on_drop()

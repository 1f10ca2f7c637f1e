"""The audit log: one line of JSON a decision, and one a response that was refused, written off the request path.

A decision is only appended to a bounded queue; a thread makes the record, encodes and writes it. When the queue is full, the
new record is dropped and counted: a slow reader of the log must not become a slow gateway.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from authz.config.settings import AuditFormat, AuditTerms
from authz.core.decision import Decision, Facts
from authz.edge.telemetry.decision_record import Record, make_record
from authz.edge.telemetry.line_writer import LineWriter, Stream
from authz.edge.telemetry.ocsf import decision_event, response_event
from authz.edge.telemetry.response_record import ResponseFacts, make_response_record

_ENCODE = msgspec.json.Encoder().encode
_INTERVAL = 0.05
_BATCH = 1000
CLOSE_SECONDS = 5.0
"""Longest time that `close` waits for the last records."""


class AuditLog:
    """Writes records to a binary stream until it is closed.

    The stream should be unbuffered, so that a batch is one write and no line of another stream to the same file can come
    between the halves of a record. `terms` say what a record holds and how it is written; they may be replaced at any time.
    """

    def __init__(self, stream: Stream, *, size: int = 65_536) -> None:
        """Begin to write; at most `size` records wait.

        Set `on_drop` to be called for each record that is not written, and `on_denial` for each denial that is recorded.
        """
        self.on_drop: Callable[[], None] = lambda: None
        self.on_denial: Callable[[Record, Decision], None] = lambda _record, _decision: None
        self.terms = AuditTerms()
        self._out = LineWriter(stream)
        self._size = size
        self._waiting: deque[tuple[Decision, Facts, float] | ResponseFacts] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def write(self, decision: Decision, facts: Facts, seconds: float) -> None:
        """Queue the record of a decision that took this many seconds; never wait."""
        self._queue((decision, facts, seconds))

    def write_response(self, facts: ResponseFacts) -> None:
        """Queue the record of a response; never wait."""
        self._queue(facts)

    def _queue(self, record: tuple[Decision, Facts, float] | ResponseFacts) -> None:
        if len(self._waiting) >= self._size:
            self.on_drop()
            return
        self._waiting.append(record)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, then stop; give up on a stream that takes nothing for this many seconds."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), _BATCH)
            lines = b"".join(_ENCODE(self._record(self._waiting.popleft())) + b"\n" for _ in range(count))
            for _ in range(self._out.write(lines)):
                self.on_drop()

    def _record(self, waiting: tuple[Decision, Facts, float] | ResponseFacts) -> Any:
        """Return what is written of a decision or a response."""
        terms = self.terms
        as_event = terms.format is AuditFormat.OCSF
        if isinstance(waiting, ResponseFacts):
            response = make_response_record(waiting)
            return response_event(response) if as_event else response
        decision, facts, seconds = waiting
        record = make_record(decision, facts, seconds, terms.claims, terms.subject_key)
        if not decision.allowed:
            self.on_denial(record, decision)
        return decision_event(record) if as_event else record

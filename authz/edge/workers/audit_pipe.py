"""Write the audit logs of several workers to one stream.

A worker's standard output is a pipe to its supervisor, which passes on whole lines only, those of one worker at a time. So
no record is torn by another, however long it is, and one that a killed worker left half written is dropped and counted.
Workers that wrote to the stream themselves would tear each other's lines: a write to a pipe is atomic only up to 4 KiB.
A reader that does not read fills the pipes; then the workers drop records and count them, as a single process would.
"""

import os
import threading
from collections.abc import Callable

from authz.edge.telemetry.line_writer import LineWriter, Stream

_CHUNK = 65_536


class AuditPipe:
    """Threads that copy from pipes to one stream.

    Each blocks while the stream's reader is slow, so they are threads of their own and not tasks of the event loop, and
    daemons, so that a reader that never reads cannot keep the process from ending.
    """

    def __init__(self, out: Stream, on_drop: Callable[[], None]) -> None:
        """Write to `out`; `on_drop` is called, from a thread, for each record that was not written."""
        self._out, self._on_drop = LineWriter(out), on_drop
        self._lock = threading.Lock()

    def copy_from(self, pipe: int) -> threading.Thread:
        """Copy from a pipe until its last writer has closed it, then close it."""
        thread = threading.Thread(target=self._copy, args=(pipe,), name="audit", daemon=True)
        thread.start()
        return thread

    def _copy(self, pipe: int) -> None:
        unfinished = b""
        while chunk := os.read(pipe, _CHUNK):
            lines, end, rest = chunk.rpartition(b"\n")
            if end:
                self._write(unfinished + lines + end)
                unfinished = b""
            unfinished += rest
        os.close(pipe)
        if unfinished:
            self._on_drop()

    def _write(self, lines: bytes) -> None:
        with self._lock:
            lost = self._out.write(lines)
        for _ in range(lost):
            self._on_drop()

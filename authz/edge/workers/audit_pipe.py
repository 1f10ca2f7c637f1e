"""One writer for the audit logs of several workers.

A worker's standard output is a pipe to its supervisor, which writes on only whole lines, those of one worker at a time. So
no record is torn by another, however long it is, and what a killed worker left half written is dropped and counted.
A reader that does not read fills the pipes; then the workers drop records and count them, as one worker would.
"""

import os
import threading
from collections.abc import Callable

from authz.edge.telemetry.audit_log import Stream

_CHUNK = 65_536


class AuditPipe:
    """Threads that copy from pipes to one stream."""

    def __init__(self, out: Stream, torn: Callable[[], None]) -> None:
        """Write to `out`; `torn` is called, from a thread, for each record that did not come to its end."""
        self._out, self._torn = out, torn
        self._turn = threading.Lock()

    def begin(self, pipe: int) -> threading.Thread:
        """Copy from a pipe until its last writer has ended; the pipe is closed then."""
        copying = threading.Thread(target=self._copy, args=(pipe,), name="audit", daemon=True)
        copying.start()
        return copying

    def _copy(self, pipe: int) -> None:
        rest = b""
        while chunk := os.read(pipe, _CHUNK):
            lines, end, begun = chunk.rpartition(b"\n")
            if end:
                self._write(rest + lines + end)
                rest = b""
            rest += begun
        os.close(pipe)
        if rest:
            self._torn()

    def _write(self, lines: bytes) -> None:
        unwritten = memoryview(lines)
        try:
            with self._turn:
                while unwritten:
                    unwritten = unwritten[self._out.write(unwritten) or 0 :]
        except (OSError, ValueError):  # a closed or full stream ends neither the thread nor the service
            for _ in range(bytes(unwritten).count(b"\n")):
                self._torn()

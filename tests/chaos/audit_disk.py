"""A small disk for the audit log, which can be full: a tmpfs where one may be mounted.

Where no tmpfs can be mounted, the log is a named pipe that somebody reads, until the disk is said to be full: then
nobody does, and what writes to it waits.
"""

import contextlib
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Self

_BYTES = 8 * 1024 * 1024


class AuditDisk:
    """A context manager that has a file or a pipe for the audit log.

    Attributes:
        log: where the service writes.
        kind: what it is, for the report.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder for the mount point or the pipe."""
        self._place = folder / "audit"
        self.log = self._place / "audit.jsonl"
        self.kind = ""
        self._reading = threading.Event()
        self._end = threading.Event()

    def __enter__(self) -> Self:
        self._place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={_BYTES}", "none", str(self._place)]
        with contextlib.suppress(OSError):
            done = subprocess.run(command, capture_output=True, check=False)
            self.kind = "a tmpfs of 8 MiB" if done.returncode == 0 else ""
        if not self.kind:
            self.kind = "a pipe that nobody reads"
            os.mkfifo(self.log)
            self._reading.set()
            threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._is_disk:
            subprocess.run(["umount", "-l", str(self._place)], capture_output=True, check=False)

    @property
    def _is_disk(self) -> bool:
        return "tmpfs" in self.kind

    def fill(self) -> None:
        """Leave no room."""
        self._reading.clear()
        if self._is_disk:
            with contextlib.suppress(OSError), (self._place / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"\0" * 4096)

    def free(self) -> None:
        """Give the room back."""
        self._reading.set()
        if self._is_disk:
            (self._place / "filler").unlink(missing_ok=True)

    def spoilt(self) -> int:
        """Return how many records follow half a record on its line, and begin the log anew; the service appends to it."""
        if not self._is_disk:
            return 0
        lines = self.log.read_bytes().split(b"\n")[:-1]  # the last one may be half written at this moment
        os.truncate(self.log, 0)
        return sum(map(_is_spoilt, lines))

    def _read(self) -> None:
        with self.log.open("rb", buffering=0) as pipe:
            while not self._end.is_set():
                self._reading.wait()
                pipe.read(65_536)


def _is_spoilt(line: bytes) -> bool:
    """Return whether a line that is no JSON ends in a record; one that only begins with half of one is lost, and counted."""
    record = line.lstrip(b"\0")  # where the log was begun anew under a writer that does not append
    return not _is_json(record) and any(
        _is_json(record[at:]) for at in range(1, len(record)) if record[at : at + 2] == b'{"'
    )


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False

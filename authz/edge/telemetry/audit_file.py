"""The audit log as a file that may be rotated under it.

Rules of this module:

* Before each batch of records it is looked whether the path is still this file. If somebody renamed it, as logrotate does, a
  new one is begun; so no signal is needed, and no record is lost between two.
* While no new one can be begun, records go on to the renamed one, which is better than nowhere.
* The file is appended to, and nobody but its owner and group may read it: records name callers.
* A file that ends in the middle of a line, as after a crash, gets the line's end first.
"""

import contextlib
import os
from pathlib import Path

_MODE = 0o640
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class AuditFile:
    """A stream to a path; used by one thread at a time."""

    def __init__(self, path: str) -> None:
        """Open the file, or begin it.

        Raises:
            OSError: it can be neither.
        """
        self._path = path
        self._file = _open(path)

    def write(self, data: memoryview, /) -> int:
        """Write some of the bytes to what the path is now, and return how many; raise OSError if none can be written."""
        if not self._is_current():
            with contextlib.suppress(OSError):
                former, self._file = self._file, _open(self._path)
                os.close(former)
        return os.write(self._file, data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _is_current(self) -> bool:
        try:
            named = Path(self._path).stat()
        except OSError:
            return False
        return os.path.samestat(named, os.fstat(self._file))


def _open(path: str) -> int:
    file = os.open(path, _FLAGS, _MODE)
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        os.write(file, b"\n")
    return file

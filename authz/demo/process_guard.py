"""A process that outlives a killed parent just long enough to kill the processes that the parent started.

It is a bare interpreter that only reads a pipe. The parent writes its process groups to the pipe. When the pipe closes,
for any reason, the guard kills the groups that are left.
"""

import contextlib
import subprocess
import sys

_GUARD = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guard:
    """The running guard of one parent."""

    def __init__(self) -> None:
        argv = [sys.executable, "-I", "-S", "-c", _GUARD]
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True, start_new_session=True)

    def watch(self, group: int) -> None:
        """Add a process group, which is killed when the parent is gone."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Remove a process group, because the system may reuse its number."""
        with contextlib.suppress(BrokenPipeError):
            self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the guard and kill the groups that it still watches."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()

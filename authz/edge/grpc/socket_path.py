"""The path of a Unix socket: taken only if nobody serves there, watched while we do, removed only while it is ours.

Rules of this module:

* gRPC's core removes whatever stands at a path before it listens there, and removes the path again when it ends, whosever
  socket that is by then. So it gets a name of its own in the same directory, and the socket is moved to the path when it
  has its mode: the core never touches the path itself, and nobody sees the socket with another mode.
* Whether somebody serves is asked by connecting. A socket that refuses was left behind by a process that was killed.
* Whether the path is still ours is told by the socket's inode: another service can take the path although it should not,
  and a cleaner of temporary files can remove it. Envoy then reaches the other, or nobody, while we hear nothing.
"""

import contextlib
import os
import secrets
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Self

from authz.edge.http.listener import BindError

PREFIX = "unix:"
_MODE = 0o660
_SECONDS = 1.0
"""Longest time to wait for somebody who serves at a path but is slow to accept."""


class SocketPath:
    """A path at which this process listens."""

    def __init__(self, path: Path) -> None:
        """Take charge of a socket that this process has put at `path`."""
        self._path = path
        self._socket = _identity(path)

    @classmethod
    def listen(cls, path: Path, bind: Callable[[str], int]) -> Self:
        """Have `bind` listen at `path`, an absolute one; it takes an address and returns 0 if it cannot.

        Raises:
            BindError: somebody serves there, or the path cannot be used.
        """
        address = f"{PREFIX}{path}"
        problem = _obstacle(path)
        if problem:
            msg = f"gRPC cannot listen on {address}: {problem}"
            raise BindError(msg)
        first = path.with_name(f".{secrets.token_hex(3)}")
        try:
            if not bind(f"{PREFIX}{first}"):
                msg = f"gRPC cannot listen on {address}: not permitted, or no such directory"
                raise BindError(msg)
            first.chmod(_MODE)
            first.replace(path)
        except OSError as error:
            msg = f"gRPC cannot listen on {address}: {error.strerror}"
            raise BindError(msg) from None
        return cls(path)

    def lost(self) -> str:
        """Return what became of the path, "" while it is this process's socket."""
        found = _identity(self._path)
        if found == self._socket:
            return ""
        what = "is gone" if found is None else "belongs to another process"
        return f"the socket {self._path} {what}, so Envoy reaches this service no more; restart it"

    def remove(self) -> None:
        """Remove the path if it is still this process's socket."""
        if not self.lost():
            with contextlib.suppress(OSError):
                self._path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _obstacle(path: Path) -> str:
    """Return what keeps this process from taking a path, "" for nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    except OSError as error:
        return os.strerror(error.errno or 0)
    if not stat.S_ISSOCK(mode):
        return "there is a file that is no socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_SECONDS)
        try:
            asking.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return ""  # left behind
        except TimeoutError:
            pass
        except BlockingIOError:
            pass  # nobody accepts at the moment, but somebody listens
        except OSError as error:
            return os.strerror(error.errno or 0)
    return "a running service listens there; end it first, or choose another path"

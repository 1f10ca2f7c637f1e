"""One budget for what the responses of a process hold together.

A body is held until it is complete, and a body may be large; so thirty unfinished answers could take all memory.

Rules of this module:

* Bytes are asked for before they are taken. What does not fit is refused to the response that asks; what others hold is
  kept, so that one sender cannot push out another's.
* One server may hold half of the budget at most: whatever it does, the other half is there for the others.
* Judging takes several times the size of a body. So of the bodies from `LARGE` bytes on, one is judged at a time; the
  others wait for their turn, and their callers with them.
* All of it belongs to the thread that serves.
"""

from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")
_P = TypeVar("_P")

MAX_HELD = 100_663_296
"""The default: 96 MiB. With five times the largest list and the process itself, it is two thirds of 512 MiB."""
LARGE = 1_048_576
"""Bytes from which a body waits until no other such body is being judged."""


class HeldBytes:
    """What all responses hold, in bytes.

    Attributes:
        total: how much is held now.
        limit: how much may be.
    """

    def __init__(self, limit: int = MAX_HELD) -> None:
        """Allow `limit` bytes in all, and half of them to one server."""
        self.total = 0
        self.limit = limit
        self._by_server: dict[str, int] = {}
        self._judging: Held | None = None

    def open(self, server: str) -> "Held":
        """Begin to hold for a response of a server; nothing so far."""
        return Held(self, server)

    def change(self, server: str, difference: int) -> bool:
        """Take or give back bytes; return False, and change nothing, if there is no room for them."""
        own = self._by_server.get(server, 0) + difference
        if difference > 0 and (self.total + difference > self.limit or own > self.limit // 2):
            return False
        self.total += difference
        self._by_server[server] = own
        if not own:
            del self._by_server[server]
        return True

    def may_judge(self, held: "Held") -> bool:
        """Return whether a response may judge a large body now; it then may until `judged`."""
        if self._judging is None:
            self._judging = held
        return self._judging is held

    def judged(self, held: "Held") -> None:
        """Let the next one judge; does nothing if this one did not."""
        if self._judging is held:
            self._judging = None


class Held:
    """What one response holds."""

    __slots__ = ("_all", "_server", "_size")

    def __init__(self, everything: HeldBytes, server: str) -> None:
        """Hold nothing yet."""
        self._all = everything
        self._server = server
        self._size = 0

    def resize(self, size: int) -> bool:
        """Hold `size` bytes from now on; return False, and hold what was held, if there is no room for them."""
        if size == self._size or self._all.change(self._server, size - self._size):
            self._size = size
            return True
        return False

    def alone(self, work: Generator[None, None, _T], size: int, pause: _P) -> Generator[_P, None, _T]:
        """Do work in slices, a large one only while no other large one is being done.

        Args:
            work: yields between its slices.
            size: bytes that it is about.
            pause: what is yielded whenever others may have the thread.
        """
        while size >= LARGE and not self._all.may_judge(self):
            yield pause
        try:
            while True:
                try:
                    next(work)
                except StopIteration as done:
                    result: _T = done.value
                    return result
                yield pause
        finally:
            self._all.judged(self)

    def close(self) -> None:
        """Release everything."""
        self.resize(0)
        self._all.judged(self)

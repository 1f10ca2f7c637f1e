"""How many streams are under way: for each caller and for each server, and whether one more may begin.

A stream (a GET, or `subscriptions/listen`) is held open by its client at no cost, and takes a place in Envoy, in its pool
of streams and in the process that serves it. So a caller has a share of them, over all servers, and a server has one.

Rules of this module:

* The Check of a request asks, and the rewriter of its response counts. Between the two a stream is expected, and counts
  as well, or a thousand requests at once would all find room. One that does not begin within `EXPECTED_SECONDS` (its
  response comes to another process, or never) is forgotten.
* A share is one process's own. Where several workers answer for one Envoy, each has its own count.
* All of it belongs to the thread that serves, but for the shares, which a reload replaces.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from authz.core.identity.principal import Principal

METHODS = frozenset({"GET", "subscriptions/listen"})
"""What opens a stream."""
EXPECTED_SECONDS = 10.0
"""How long a stream that was admitted may take to begin before it is forgotten."""

_Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShares:
    """How many streams may be under way at once in one worker.

    Attributes:
        per_caller: of one caller, over all servers.
        per_server: of all callers at one server.
    """

    per_caller: int = 128
    per_server: int = 1024


class _Load:
    """The streams of one caller or server: open, expected, and expected ones that opened before they were forgotten."""

    __slots__ = ("expected", "open", "settled")

    def __init__(self) -> None:
        self.open = self.expected = self.settled = 0

    @property
    def idle(self) -> bool:
        return not (self.open or self.expected or self.settled)


class OpenStreams:
    """The streams of one process.

    Attributes:
        shares: how many there may be.
    """

    def __init__(self, shares: StreamShares, clock: Callable[[], float]) -> None:
        """Count from none; `clock` gives seconds."""
        self.shares = shares
        self._clock = clock
        self._loads: dict[_Key, _Load] = {}
        self._expected: deque[tuple[float, tuple[_Key, _Key]]] = deque()

    def admit(self, caller: Principal, server: str) -> bool:
        """Return whether one more may begin, and expect it if so."""
        now = self._clock()
        while self._expected and self._expected[0][0] <= now:
            self._forget(self._expected.popleft()[1])
        keys = _keys(caller, server)
        allowed = (self.shares.per_caller, self.shares.per_server)
        if any(self._count(key) >= most for key, most in zip(keys, allowed, strict=True)):
            return False
        self._expected.append((now + EXPECTED_SECONDS, keys))
        for key in keys:
            self._loads.setdefault(key, _Load()).expected += 1
        return True

    def begin(self, caller: Principal, server: str) -> None:
        """Count a stream that has begun, expected or not."""
        for key in _keys(caller, server):
            load = self._loads.setdefault(key, _Load())
            load.open += 1
            if load.expected:
                load.expected -= 1
                load.settled += 1

    def end(self, caller: Principal, server: str) -> None:
        """Count a stream that has begun as ended."""
        for key in _keys(caller, server):
            self._loads[key].open -= 1
            self._drop_idle(key)

    def by_server(self) -> list[tuple[str, int]]:
        """Return how many streams of each server are open; another thread may ask."""
        return [(key[0], load.open) for key, load in self._loads.copy().items() if len(key) == 1]

    def _count(self, key: _Key) -> int:
        load = self._loads.get(key)
        return 0 if load is None else load.open + load.expected

    def _forget(self, keys: tuple[_Key, _Key]) -> None:
        for key in keys:
            load = self._loads[key]
            if load.settled:
                load.settled -= 1
            else:
                load.expected -= 1
            self._drop_idle(key)

    def _drop_idle(self, key: _Key) -> None:
        if self._loads[key].idle:
            del self._loads[key]


def _keys(caller: Principal, server: str) -> tuple[_Key, _Key]:
    return (caller.issuer, caller.subject), (server,)

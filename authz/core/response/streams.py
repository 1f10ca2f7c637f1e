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
from typing import TypeAlias, TypeVar

from authz.core.identity.principal import Principal

EXPECTED_SECONDS = 10.0
"""How long a stream that was admitted may take to begin before it is forgotten."""

_Caller: TypeAlias = tuple[str, str, str, str]
_K = TypeVar("_K", _Caller, str)


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

    def expect(self) -> None:
        self.expected += 1

    def forget(self) -> None:
        """Expect one no longer, or remember no longer that it was expected."""
        if self.settled:
            self.settled -= 1
        else:
            self.expected -= 1

    def begin(self) -> None:
        self.open += 1
        if self.expected:
            self.expected -= 1
            self.settled += 1

    def end(self) -> None:
        self.open -= 1


class OpenStreams:
    """The streams of one process.

    Attributes:
        shares: how many there may be.
    """

    def __init__(self, shares: StreamShares, clock: Callable[[], float]) -> None:
        """Count from none; `clock` gives seconds."""
        self.shares = shares
        self._clock = clock
        self._callers: dict[_Caller, _Load] = {}
        self._servers: dict[str, _Load] = {}
        self._expected: deque[tuple[float, _Caller, str]] = deque()

    def admit(self, caller: Principal, server: str) -> bool:
        """Return whether one more may begin, and expect it if so."""
        now, key = self._clock(), _key(caller)
        while self._expected and self._expected[0][0] <= now:
            _, expected, at = self._expected.popleft()
            _change(self._callers, expected, _Load.forget)
            _change(self._servers, at, _Load.forget)
        if _count(self._callers, key) >= self.shares.per_caller:
            return False
        if _count(self._servers, server) >= self.shares.per_server:
            return False
        self._expected.append((now + EXPECTED_SECONDS, key, server))
        _change(self._callers, key, _Load.expect)
        _change(self._servers, server, _Load.expect)
        return True

    def begin(self, caller: Principal, server: str) -> None:
        """Count a stream that has begun, expected or not."""
        _change(self._callers, _key(caller), _Load.begin)
        _change(self._servers, server, _Load.begin)

    def end(self, caller: Principal, server: str) -> None:
        """Count a stream that has begun as ended."""
        _change(self._callers, _key(caller), _Load.end)
        _change(self._servers, server, _Load.end)

    def by_server(self) -> list[tuple[str, int]]:
        """Return how many streams of each server are open; another thread may ask."""
        return [(server, load.open) for server, load in self._servers.copy().items()]


def _key(who: Principal) -> _Caller:
    """Tell a caller from all others: one whose token names no subject by what stands for it, else by the client."""
    named = who.subject or who.holder
    return (who.issuer, who.subject, who.holder, "" if named else who.client)


def _count(loads: dict[_K, _Load], key: _K) -> int:
    load = loads.get(key)
    return 0 if load is None else load.open + load.expected


def _change(loads: dict[_K, _Load], key: _K, change: Callable[[_Load], None]) -> None:
    """Change the load of a caller or server, and drop an idle one."""
    load = loads.setdefault(key, _Load())
    change(load)
    if load.idle:
        del loads[key]

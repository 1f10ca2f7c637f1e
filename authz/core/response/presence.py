"""Whether a rewriter stands behind the Checks: which answers it was asked for, and when it last came.

Without its rewriter an Envoy sends every list whole, and nothing fails. The service sees only that the rewriter does not
come for answers that a Check asked it for. That alone proves nothing: a client hangs up, a server is slow, another
replica takes the stream.

Rules of this module:

* Each Envoy is judged by itself, by the address at which its listener took the request: one may have a rewriter and
  another none. The address comes back to the rewriter in the Check's metadata.
* Only prompt answers count, lists and new sessions: a call or a stream may be answered in an hour.
* It is sure that no rewriter is there when it was asked for `enough` of them in a row, the last was asked for at least
  `DUE_SECONDS` ago, and it has come for nothing since the first. A rewriter that comes, whatever for, ends that at once.
  Nothing else does: time alone brings no rewriter, and a list that is let through to find out has leaked.
* A list or stream that is refused because of it still asks for the rewriter, which costs nobody anything: Envoy runs it
  on the refusal. So the first refusal brings a rewriter back that is there after all.
* An Envoy that asks for nothing any more may be gone for good: then it is told to no operator, but still refused. Where
  there is no room for another, the one that was idle for longest is forgotten.
* Where all of an Envoy's streams come to this process or to its siblings (a Unix socket, loopback), three are enough.
  Replicas share Checks and streams by lot, and do not talk; there a row of twenty is one in a million by chance.
* Asking, coming and judging belong to the thread that serves, which alone adds and forgets Envoys. The event loop reads
  a copy, and changes single values of an entry that it holds: `came` (`heard`) and `fresh` (`news`).
"""

from collections.abc import Callable

DUE_SECONDS = 5.0
"""Time in which the rewriter should have come for a list."""
ALONE, AMONG_REPLICAS = 3, 20
"""How many in a row are enough."""
IDLE_SECONDS = 900.0
"""An Envoy that has asked for nothing for this long is told to nobody; it may be gone for good."""
MOST_ENVOYS = 256
"""How many are known at once. A listener's address is the operator's, not a sender's."""


class _Envoy:
    """What is known of one listener: when it first asked since the rewriter came, and whether that is news."""

    __slots__ = ("asked", "came", "fresh", "last")

    def __init__(self) -> None:
        self.asked: tuple[float, ...] = ()
        self.last = self.came = float("-inf")
        self.fresh = False


class RewriterPresence:
    """The rewriters of the Envoys that ask one process."""

    def __init__(self, clock: Callable[[], float], *, enough: int = ALONE) -> None:
        """Begin with nothing seen; `clock` gives seconds."""
        self._clock, self._enough = clock, enough
        self._envoys: dict[str, _Envoy] = {}

    def asked(self, listener: str, *, prompt: bool = True) -> None:
        """Note that the rewriter was asked for an answer, or for a refusal; only `prompt` ones count in a row."""
        envoy, now = self._envoy(listener), self._clock()
        envoy.last = now
        if prompt:
            asked = envoy.asked if envoy.asked and envoy.asked[0] > envoy.came else ()
            envoy.asked = asked if len(asked) == self._enough else (*asked, now)

    def came(self, listener: str) -> None:
        """Note that the rewriter came."""
        envoy = self._envoy(listener)
        envoy.came = self._clock()
        envoy.fresh = True

    def heard(self, listener: str) -> None:
        """Note that the rewriter came to a sibling of this process; from any thread."""
        envoy = self._envoys.get(listener)
        if envoy is not None:
            envoy.came = self._clock()

    def news(self) -> list[str]:
        """Return the listeners whose rewriter came since this was asked last; from any thread, but always the same."""
        fresh = {listener: envoy for listener, envoy in self._envoys.copy().items() if envoy.fresh}
        for envoy in fresh.values():  # before they are told, so that one that comes meanwhile is told again
            envoy.fresh = False
        return list(fresh)

    def missing(self, listener: str) -> bool:
        """Return whether it is sure that no rewriter is there."""
        envoy = self._envoys.get(listener)
        return envoy is not None and self._is_missing(envoy, self._clock())

    def missing_at(self) -> list[str]:
        """Return the listeners without a rewriter that were in use lately; from any thread."""
        now = self._clock()
        return sorted(
            name
            for name, envoy in self._envoys.copy().items()
            if envoy.last + IDLE_SECONDS > now and self._is_missing(envoy, now)
        )

    def _is_missing(self, envoy: _Envoy, now: float) -> bool:
        asked = envoy.asked
        return len(asked) == self._enough and asked[0] > envoy.came and asked[-1] + DUE_SECONDS <= now

    def _envoy(self, listener: str) -> _Envoy:
        envoy = self._envoys.get(listener)
        if envoy is None:
            if len(self._envoys) >= MOST_ENVOYS:
                del self._envoys[min(self._envoys, key=self._last_use)]
            envoy = self._envoys[listener] = _Envoy()
        return envoy

    def _last_use(self, listener: str) -> float:
        envoy = self._envoys[listener]
        return max(envoy.last, envoy.came)

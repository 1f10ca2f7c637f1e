"""Whether a rewriter stands behind the Checks: which answers it was asked for, and when it last came.

Without its rewriter an Envoy sends every list whole, and nothing fails. The service sees only that the rewriter does not
come for answers that a Check asked it for. That alone proves nothing: a client hangs up, a server is slow, another
replica takes the stream.

Rules of this module:

* Each Envoy is judged by itself, by the address at which its listener took the request: one may have a rewriter and
  another none. The address comes back to the rewriter in the Check's metadata.
* Only prompt answers count, lists and new sessions: a call or a stream may be answered in an hour.
* It is sure that no rewriter is there when it was asked for `enough` of them in a row, the last one was due
  `DUE_SECONDS` ago, and it has come for nothing since the first. One that comes, whatever for, ends that at once.
* A list that is refused because of it still asks for the rewriter, which costs nobody anything: Envoy runs it on the
  refusal. So the first refusal brings a rewriter back that is there after all, and no list is let through to find out.
* Where all of an Envoy's streams come to this process or to its siblings (a Unix socket, loopback), three are enough.
  Replicas share Checks and streams by lot, and do not talk; there a row of twenty is one in a million by chance.
* Asking, coming and judging belong to the thread that serves. The event loop reads, and tells of a stream that came to a
  sibling (`heard`): that is one assignment.
"""

from collections.abc import Callable

DUE_SECONDS = 5.0
"""Time in which the rewriter should have come for a list."""
ALONE, AMONG_REPLICAS = 3, 20
"""How many in a row are enough."""
FORGET_SECONDS = 900.0
"""An Envoy that has asked for no list for this long is forgotten; it may be gone for good."""
MOST_ENVOYS = 256


class _Envoy:
    """What is known of one listener: the first asks since the rewriter came last, and whether that is news."""

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

    def asked(self, listener: str) -> None:
        """Note that the rewriter was asked for a prompt answer."""
        envoy, now = self._envoy(listener), self._clock()
        asked = envoy.asked if envoy.asked and envoy.asked[0] > envoy.came else ()
        envoy.asked = asked if len(asked) == self._enough else (*asked, now)
        envoy.last = now

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
        listeners = [listener for listener, envoy in self._envoys.copy().items() if envoy.fresh]
        for listener in listeners:
            self._envoys[listener].fresh = False
        return listeners

    def missing(self, listener: str) -> bool:
        """Return whether it is sure that no rewriter is there."""
        envoy = self._envoys.get(listener)
        return envoy is not None and self._is_missing(envoy, self._clock())

    def missing_at(self) -> list[str]:
        """Return the listeners without a rewriter; from any thread."""
        now = self._clock()
        return sorted(name for name, envoy in self._envoys.copy().items() if self._is_missing(envoy, now))

    def _is_missing(self, envoy: _Envoy, now: float) -> bool:
        asked = envoy.asked
        if len(asked) < self._enough or asked[0] <= envoy.came:
            return False
        return asked[-1] + DUE_SECONDS <= now and envoy.last + FORGET_SECONDS > now

    def _envoy(self, listener: str) -> _Envoy:
        envoy = self._envoys.get(listener)
        if envoy is None:
            while (
                len(self._envoys) >= MOST_ENVOYS
            ):  # the oldest; a listener's address is the operator's, not a sender's
                del self._envoys[next(iter(self._envoys))]
            envoy = self._envoys[listener] = _Envoy()
        return envoy

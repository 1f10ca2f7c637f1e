"""Whether a rewriter stands behind the Checks: which answers it was asked for, and for which it came.

Without its rewriter an Envoy sends every list whole, and nothing fails. The service sees only that the rewriter does not
come for answers that a Check asked it for. That alone proves nothing: a client hangs up, a server is slow, another
replica takes the stream.

Rules of this module:

* Each Envoy is judged by itself, by the address at which its listener took the request: one may have a rewriter and
  another none. Address and caller come back to the rewriter in the Check's metadata, which no client can set.
* No list passes an Envoy whose rewriter has never come. It comes for the answers that go before a list (`initialize`,
  `server/discover`), and for refusals: Envoy runs it on those too. So a list is refused at most until one of these.
* Once it has come, absence must be noticed. A caller for whose answer it has not come within `DUE_SECONDS` is refused
  until it comes for him; nobody else pays for his hanging up. Meanwhile the rewriter is suspected: before anybody's next
  list, it is asked for by a knock, and only if it does not come for that is the Envoy refused altogether. Where nobody
  can knock it is acquitted (`acquit`) until the same has happened to a second caller. So there, a caller with two names
  can delay a list of others once in `DUE_SECONDS`, while there is no other traffic. The refusal itself brings the
  rewriter, and the next list passes.
* No time brings a rewriter, and a list that is let through to find out has leaked.
* Only prompt answers count, lists and new sessions: a call or a stream may be answered in an hour. And the rewriter
  counts as come only where it came by the way of lists.
* It is told to operators as missing when it was asked for several in a row: a few where it never came, more where it
  did. An Envoy that asks for nothing any more may be gone for good: then it is told to nobody, but still refused. Where
  there is no room for another, the one that was idle for longest is forgotten.
* Replicas share Checks and streams by lot, and do not talk, so no answer can be told from another's there: it takes a
  row of twenty, which is one in a million by chance.
* A Check without an address is no Envoy's, which always gives one: a test's, or another proxy's. It is refused by rows
  only, for it cannot be told whose rewriter came.
* Checks, rewriters and the event loop, which tells siblings and hears from them, use one lock.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

DUE_SECONDS = 2.0
"""Time in which the rewriter should have come for a list, or no other is sent."""
TOLD_SECONDS = 5.0
"""Time after which an operator is told; a server that takes longer to answer once is no reason to wake anybody."""
NEVER_CAME, ALONE, AMONG_REPLICAS = 2, 3, 20
"""How many in a row are enough to tell that it is missing: the first where it never came, and all streams come here."""
IDLE_SECONDS = 900.0
"""An Envoy that has asked for nothing for this long is told to nobody; it may be gone for good."""
MOST_ENVOYS = 256
"""How many are known at once. A listener's address is the operator's, not a sender's."""
MOST_CALLERS = 1024
"""How many callers wait for the rewriter at one Envoy; the one that has waited for longest makes room."""
_MOST_NEWS = 8192
_TWO = 2
_NEVER = float("-inf")
_UNSHARED = nullcontext()


class _Envoy:
    """What is known of one listener.

    Attributes:
        came: when its rewriter came last.
        last: when it asked last.
        asked: when it asked since then, the first times.
        row: the first two callers who asked since then, and when.
        waiting: the callers for whom it has not come since they asked, and when they first did.
        acquitted: whether it could not be found out if it would come, after it had not for the first of these.
        probed: when a refusal asked for it that did not have to.
    """

    __slots__ = ("acquitted", "asked", "came", "last", "probed", "row", "waiting")

    def __init__(self) -> None:
        self.came = self.last = self.probed = _NEVER
        self.acquitted = False
        self.asked: tuple[float, ...] = ()
        self.row: dict[str, float] = {}
        self.waiting: dict[str, float] = {}

    def ask(self, caller: str, now: float, most: int) -> None:
        if len(self.asked) < most:
            self.asked = (*self.asked, now)
        if len(self.row) < _TWO:
            self.row.setdefault(caller, now)
        if caller not in self.waiting:
            if len(self.waiting) >= MOST_CALLERS:
                del self.waiting[next(iter(self.waiting))]
            self.waiting[caller] = now

    def come(self, caller: str | None, now: float) -> None:
        self.came = now
        self.asked = ()
        self.row.clear()
        self.acquitted = False
        if caller is not None:
            self.waiting.pop(caller, None)


class RewriterPresence:
    """The rewriters of the Envoys that ask one process.

    Attributes:
        clock: gives seconds.
        on_news: called when a rewriter came, from the thread that serves; None if there is nobody to tell.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        alone: bool = True,
        lock: AbstractContextManager[Any] = _UNSHARED,
    ) -> None:
        """Begin with nothing seen.

        Args:
            clock: gives seconds.
            lock: what threads that share this hold meanwhile.
            alone: whether all streams of an Envoy come to this process or its siblings.
        """
        self.clock, self._alone = clock, alone
        self._envoys: dict[str, _Envoy] = {}
        self._lock = lock
        self._news: deque[tuple[str, str]] = deque(maxlen=_MOST_NEWS)
        self.on_news: Callable[[], None] | None = None

    def asked(self, listener: str, caller: str = "", *, prompt: bool = True) -> None:
        """Note that the rewriter was asked for an answer, or for a refusal; only `prompt` ones count."""
        with self._lock:
            envoy = self._envoy(listener)
            envoy.last = self.clock()
            if prompt:
                envoy.ask(caller, envoy.last, ALONE if self._alone else AMONG_REPLICAS)

    def came(self, listener: str, caller: str = "") -> None:
        """Note that the rewriter came."""
        with self._lock:
            self._envoy(listener).come(caller, self.clock())
        if self.on_news is not None:
            self._news.append((listener, caller))
            self.on_news()

    def heard(self, listener: str, callers: Iterable[str]) -> None:
        """Note that the rewriter came to a sibling of this process, for these callers."""
        with self._lock:
            envoy, now = self._envoy(listener), self.clock()
            envoy.come(None, now)
            for caller in callers:
                envoy.waiting.pop(caller, None)

    def news(self) -> Mapping[str, set[str]]:
        """Return for whom the rewriter came since this was asked last, by listener."""
        told: dict[str, set[str]] = {}
        while self._news:
            listener, caller = self._news.popleft()
            told.setdefault(listener, set()).add(caller)
        return told

    def refuses(self, listener: str, caller: str) -> bool:
        """Return whether a list for this caller must not pass, because it is not sure that it would be trimmed."""
        with self._lock:
            envoy = self._envoys.get(listener)
            if envoy is None:
                return bool(listener)
            return self._refuses(envoy, listener, caller, self.clock() - DUE_SECONDS)

    def wants(self, listener: str, caller: str) -> bool:
        """Return whether a refusal should ask for the rewriter to find out; one in `DUE_SECONDS` is enough.

        Where the rewriter does not answer, Envoy answers in the place of the refusal. That is a list's lot, but must not
        be that of everybody who comes without a token.
        """
        if not listener:
            return False
        with self._lock:
            envoy, now = self._envoy(listener), self.clock()
            if envoy.probed + DUE_SECONDS > now or not self._refuses(
                envoy, listener, caller, now - DUE_SECONDS
            ):
                return False
            envoy.probed = now
            return True

    def acquit(self, listener: str) -> None:
        """Suspect no rewriter for what it did to one caller, if nothing could ask for it since."""
        with self._lock:
            envoy = self._envoys.get(listener)
            if envoy is not None and envoy.row:
                envoy.acquitted = envoy.probed < min(envoy.row.values()) + DUE_SECONDS

    def missing_at(self) -> list[str]:
        """Return the listeners without a rewriter that were in use lately."""
        with self._lock:
            now = self.clock()
            return sorted(
                name
                for name, envoy in self._envoys.items()
                if envoy.last + IDLE_SECONDS > now and self._is_missing(envoy, name, now - TOLD_SECONDS)
            )

    def _refuses(self, envoy: _Envoy, listener: str, caller: str, due: float) -> bool:
        if listener and envoy.came == _NEVER:
            return True
        if listener and self._alone and envoy.waiting.get(caller, due + 1.0) <= due:
            return True
        callers = envoy.row.values()
        for_two = len(callers) == _TWO and max(callers) <= due
        if listener and self._alone:  # suspected for one; a knock is to show if rightly so
            return for_two or (bool(callers) and min(callers) <= due and not envoy.acquitted)
        return for_two and self._is_missing(envoy, listener, due)

    def _is_missing(self, envoy: _Envoy, listener: str, due: float) -> bool:
        """Return whether enough answers in a row were not brought to the rewriter, the last of them some time ago."""
        never = bool(listener) and envoy.came == _NEVER
        enough = (NEVER_CAME if never else ALONE) if self._alone else AMONG_REPLICAS
        return len(envoy.asked) >= enough and envoy.asked[enough - 1] <= due

    def _envoy(self, listener: str) -> _Envoy:
        envoy = self._envoys.get(listener)
        if envoy is None:
            if len(self._envoys) >= MOST_ENVOYS:
                del self._envoys[min(self._envoys, key=self._last_use)]
            envoy = self._envoys[listener] = _Envoy()
        return envoy

    def _last_use(self, listener: str) -> float:
        envoy = self._envoys[listener]
        return max(envoy.last, envoy.came, envoy.probed)

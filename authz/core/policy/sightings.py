"""Which locked items were last seen in another form than they were approved in.

The lists of a server pass through here for every caller, so the first one who lists after a change makes it known for all.

Rules of this module:

* A sighting is the digest that was seen. Whether it is a change follows from the lock that is in force when somebody asks,
  so renewing the lock settles it at once, and no reload has to.
* An item that is seen in an approved form is forgotten.
* A sighting that no list has renewed for the lock's `keep_seconds` is forgotten too.
* `on_sight` is told of each that is new, so that it can be shared, and again after half of `keep_seconds`, so that nobody
  who was told forgets what is still seen here. What others tell comes in by `learn`. Another thread may do so: entries
  are set and removed as a whole, and what holds those of one server stays.
"""

from collections.abc import Callable, Mapping

from authz.core.policy.lock import ItemKey, Lock, LockOutcome

UNREADABLE = ""
"""The digest of an item that two readers could understand differently: it was never approved."""


class Sightings:
    """What was seen of the locked items of all servers."""

    def __init__(
        self,
        clock: Callable[[], float],
        on_sight: Callable[[str, ItemKey, str | None], None] = lambda _server, _key, _digest: None,
    ) -> None:
        """Know nothing yet.

        Args:
            clock: gives seconds.
            on_sight: told of a server, an item and the digest that was seen; None once it is as approved again.
        """
        self._clock = clock
        self._on_sight = on_sight
        self._seen: dict[str, dict[ItemKey, tuple[str, float]]] = {}
        self._told: dict[tuple[str, ItemKey], float] = {}

    def note(self, server: str, lock: Lock, key: ItemKey, digest: str) -> LockOutcome:
        """Compare an item of a list with the lock, and remember whether it changed."""
        outcome = lock.compare(key, digest)
        known = self._of(server).get(key)
        if outcome is LockOutcome.CHANGED:
            self.learn(server, key, digest)
            told = self._told.get((server, key), -lock.keep_seconds)
            if known is None or known[0] != digest or self._clock() - told >= lock.keep_seconds / 2:
                self._told[server, key] = self._clock()
                self._on_sight(server, key, digest)
        elif known is not None:
            self.learn(server, key, None)
            self._on_sight(server, key, None)
        return outcome

    def learn(self, server: str, key: ItemKey, digest: str | None) -> None:
        """Take over what was seen elsewhere; None for an item that is as approved again."""
        if digest is None:
            self._of(server).pop(key, None)
        else:
            self._seen.setdefault(server, {})[key] = (digest, self._clock())

    def is_quiet(self, server: str) -> bool:
        """Return whether no sighting of a server's items is remembered: then `note` changes nothing for an approved item."""
        return not self._seen.get(server)

    def changed(self, server: str, lock: Lock, key: ItemKey) -> bool:
        """Return whether an item was last seen in a form that the lock does not approve."""
        known = self._of(server).get(key)
        if known is None:
            return False
        digest, at = known
        if self._clock() - at > lock.keep_seconds:
            self._of(server).pop(key, None)
            return False
        return lock.compare(key, digest) is LockOutcome.CHANGED

    def keep_only(self, locks: Mapping[str, Lock]) -> None:
        """Forget what no lock names any more, so that there are never more sightings than locked items."""
        for server, key in {(server, key) for server, key, _ in self.all()} | self._told.keys():
            if server not in locks or key not in locks[server].items:
                self._of(server).pop(key, None)
                self._told.pop((server, key), None)

    def all(self) -> list[tuple[str, ItemKey, str]]:
        """Return every sighting: server, item and digest."""
        return [
            (server, key, digest)
            for server, seen in list(self._seen.items())
            for key, (digest, _) in list(seen.items())
        ]

    def _of(self, server: str) -> dict[ItemKey, tuple[str, float]]:
        return self._seen.get(server, {})

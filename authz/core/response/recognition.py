"""Whether the items of a list are those that were approved: each is compared with the server's lock before it is judged.

Rules of this module:

* Every item is compared, also one that this reader may not see: so a change is known before somebody calls it.
* What passes is the entry that was compared, never another of its name: a list can hold a name twice, and the same name
  stands in several lists. Rules are asked besides; both have to agree.
* What was seen is noted (see `sightings`), and what follows for calls is decided in `Server.judge`. `changed: refuse`
  ends the list here.
* Bytes that were digested before are known by a hash of theirs, so an item that a server writes alike every time costs one
  hash. Only items that the lock names are digested at all.
* A list that is kept (see `item_reader`) is known as a whole, once all of it was found as this very lock approves it. While
  nothing is remembered of its server, comparing its items again would change nothing but the count.
"""

import hashlib
from collections.abc import Callable, Generator, Iterable
from typing import Protocol

from msgspec.json import Encoder

from authz.core.mcp.definition import UnreadableDefinitionError, digest_of, read_definition
from authz.core.mcp.item import ListName
from authz.core.policy.lock import ItemKey, Lock, LockOutcome, OnChange
from authz.core.policy.sightings import UNREADABLE, Sightings
from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.raw_json import Written

_KNOWN = 16_384
_HASH_BYTES = 20
_ENCODE = Encoder().encode
_SECTIONS = frozenset(map(str, ListName))

CountCompared = Callable[[str, LockOutcome, int], None]
"""Take the number of items that were compared: server, what comparing showed, number."""


class Comparable(Protocol):
    """Items of a list that can be compared.

    Attributes:
        names: what they are called.
        approved_by: the lock that was found to approve each of them; None if there was none.
    """

    names: list[str]
    approved_by: Lock | None

    def written(self, place: int) -> Written:
        """Return an item as it was written."""


class ChangedListError(Exception):
    """A list holds an item that changed, and the lock wants the whole of it refused; the text is fixed."""

    def __init__(self) -> None:
        """Take the fixed text."""
        super().__init__("the server has changed something since it was approved")


class Recognition:
    """What was digested, and what was seen of the locked items of all servers."""

    def __init__(
        self, sightings: Sightings, count: CountCompared = lambda _server, _outcome, _number: None
    ) -> None:
        """Note in `sightings`; `count` is told of the items that were compared."""
        self.sightings, self.count = sightings, count
        self._digests: BoundedCache[bytes, str] = BoundedCache(_KNOWN)

    def by(self, server: str, lock: Lock) -> "ResponseRecognition":
        """Return what takes note of the items in a response of a server."""
        return ResponseRecognition(self, server, lock)

    def digest(self, item: Written) -> str:
        """Return the digest of an item as it was written."""
        document = _ENCODE(item)
        short = hashlib.blake2b(document, digest_size=_HASH_BYTES).digest()
        known = self._digests.get(short)
        return self._digests.put(short, _read_digest(document)) if known is None else known


class ResponseRecognition:
    """What is recognised in one response: the items as their lock sees them, and which of them may stand in a list."""

    def __init__(self, recognition: Recognition, server: str, lock: Lock) -> None:
        """Take note in `recognition` of items of a server that has this lock."""
        self._recognition, self._server, self._lock = recognition, server, lock

    def passing(
        self, member: str, items: Comparable, slices: Iterable[range]
    ) -> Generator[None, None, list[bool]]:
        """Take note of some items, and return for each whether it may stand in the list.

        Args:
            member: the member of the result that holds the list.
            items: the items.
            slices: their places, cut where the thread may be given back.

        Raises:
            ChangedListError: one changed, and the list shall not pass for it.
        """
        count = len(items.names)
        if member not in _SECTIONS:
            return [True] * count
        if items.approved_by is self._lock and self._recognition.sightings.is_quiet(self._server):
            self._recognition.count(self._server, LockOutcome.EQUAL, count)
            return [True] * count
        section, outcomes = ListName(member), list[LockOutcome]()
        for places in slices:
            if outcomes:
                yield
            outcomes += [self._outcome(section, items.names[at], items.written(at)) for at in places]
        if all(outcome is LockOutcome.EQUAL for outcome in outcomes):
            items.approved_by = self._lock
        return list(map(self._lock.lists, outcomes))

    def passes(self, member: str, name: str, item: Written) -> bool:
        """Take note of one item, and return whether it may stand in the list.

        Raises:
            ChangedListError: it changed, and the list shall not pass for it.
        """
        return member not in _SECTIONS or self._lock.lists(self._outcome(ListName(member), name, item))

    def _outcome(self, section: ListName, name: str, item: Written) -> LockOutcome:
        key: ItemKey = (section, name)
        outcome, lock, known = LockOutcome.UNLISTED, self._lock, self._recognition
        if key in lock.items:
            outcome = known.sightings.note(self._server, lock, key, known.digest(item))
        known.count(self._server, outcome, 1)
        if outcome is LockOutcome.CHANGED and lock.on_change is OnChange.REFUSE:
            raise ChangedListError
        return outcome


def _read_digest(document: bytes) -> str:
    try:
        return digest_of(read_definition(document))
    except UnreadableDefinitionError:
        return UNREADABLE

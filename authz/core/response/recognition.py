"""Whether the items of a list are those that were approved: each is compared with the server's lock before it is judged.

Rules of this module:

* Every item is compared, also one that this reader may not see: so a change is known before somebody calls it.
* What passes is the entry that was compared, never another of its name: a list can hold a name twice, and the same name
  stands in several lists. Rules are asked besides; both have to agree.
* What was seen is noted (see `sightings`), and what follows for calls is decided in `Server.judge`. `changed: refuse`
  ends the list here.
* Bytes that were digested before are known by a hash of theirs, so a server that writes its list alike every time costs one
  hash an item. Only items that the lock names are digested at all.
"""

import hashlib
from collections.abc import Callable

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

Recognise = Callable[[str, str, Written], bool]
"""Take note of one item, and return whether its lock lets it stand in the list: the member of the result that holds the
list, the item's name, and the item as it was written."""


class ChangedListError(Exception):
    """A list holds an item that changed, and the lock wants the whole of it refused; the text is fixed."""

    def __init__(self) -> None:
        """Take the fixed text."""
        super().__init__("the server has changed something since it was approved")


class Recognition:
    """What was digested, and what was seen of the locked items of all servers."""

    def __init__(
        self,
        sightings: Sightings,
        count: Callable[[str, LockOutcome], None] = lambda _server, _outcome: None,
    ) -> None:
        """Note in `sightings`; `count` is told of each item that was compared: server and outcome."""
        self._sightings = sightings
        self._count = count
        self._digests: BoundedCache[bytes, str] = BoundedCache(_KNOWN)

    def by(self, server: str, lock: Lock) -> Recognise:
        """Return what takes note of the items in a response of a server."""

        def recognise(member: str, name: str, item: Written) -> bool:
            if member not in _SECTIONS:
                return True
            key: ItemKey = (ListName(member), name)
            outcome = LockOutcome.UNLISTED
            if key in lock.items:
                outcome = self._sightings.note(server, lock, key, self._digest(item))
            self._count(server, outcome)
            if outcome is LockOutcome.CHANGED and lock.on_change is OnChange.REFUSE:
                raise ChangedListError
            return lock.lists(outcome)

        return recognise

    def _digest(self, item: Written) -> str:
        """Return the digest of an item as it was written."""
        document = _ENCODE(item)
        short = hashlib.blake2b(document, digest_size=_HASH_BYTES).digest()
        known = self._digests.get(short)
        return self._digests.put(short, _read_digest(document)) if known is None else known


def _read_digest(document: bytes) -> str:
    try:
        return digest_of(read_definition(document))
    except UnreadableDefinitionError:
        return UNREADABLE

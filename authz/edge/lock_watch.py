"""What one process saw of locked items, told to its log and to the other workers of its service.

Lists pass in the server's thread; telling happens in the event loop. A server that changes an item with every list is told of
once a minute for each item, so that it cannot fill the log.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from authz.config.settings import Settings
from authz.core.policy.lock import ItemKey, Lock
from authz.core.policy.sightings import Sightings
from authz.core.response.recognition import CountCompared, Recognition
from authz.core.wire.bounded_cache import BoundedCache

TOLD_SECONDS = 60.0
_TOLD = 1024
_LOG = structlog.get_logger("authz.lock")

Share = Callable[[str, ItemKey, str | None], None]
"""Tell the other workers of an item of a server: the digest that was seen, None once it is as approved again."""


class LockWatch:
    """The sightings of one process.

    Attributes:
        sightings: which items were last seen changed.
        recognition: takes note of the items in lists.
    """

    def __init__(self, count: CountCompared) -> None:
        """Know nothing yet; `count` is told of the items that are compared."""
        self.sightings = Sightings(time.monotonic, self._sighted)
        self.recognition = Recognition(self.sightings, count)
        self._told: BoundedCache[tuple[str, ItemKey], float] = BoundedCache(_TOLD)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._share: Share = lambda _server, _key, _digest: None
        self._in_force: Mapping[str, tuple[str, str]] = {}

    def share_by(self, share: Share) -> None:
        """Tell the other workers by `share`, which is called in the event loop that runs now."""
        self._loop, self._share = asyncio.get_running_loop(), share

    def put_in_force(self, policy: str, locks: Mapping[str, Lock]) -> None:
        """Forget what no lock names any more, and tell the log which locks a policy's digest in records stands for.

        Args:
            policy: the policy's digest.
            locks: the locks in force, by the server's name.
        """
        self.sightings.keep_only(locks)
        for name, lock in locks.items():
            if self._in_force.get(name) != (policy, lock.digest):
                _LOG.info("lock in force", server=name, lock=lock.digest, policy=policy)
        self._in_force = {name: (policy, lock.digest) for name, lock in locks.items()}

    def count_changed(self, server: str, lock: Lock) -> int:
        """Return how many locked items of a server were last seen changed."""
        seen = self.sightings.all()
        return sum(name == server and self.sightings.changed(name, lock, key) for name, key, _ in seen)

    def changed_items(self, settings: Settings) -> list[tuple[str, ...]]:
        """Return server, list and name of each locked item that was last seen changed."""
        locks = {server.name: server.lock for server in settings.directory.servers}
        return sorted(
            (name, key[0].value, key[1])
            for name, key, _ in self.sightings.all()
            if (lock := locks.get(name)) is not None and self.sightings.changed(name, lock, key)
        )

    def _sighted(self, server: str, key: ItemKey, digest: str | None) -> None:
        now = time.monotonic()
        if now - self._told.get((server, key), -TOLD_SECONDS) >= TOLD_SECONDS:
            self._told.put((server, key), now)
            section, name = key  # approved texts: no server can choose them now
            if digest is None:
                _LOG.info("a locked item is as approved again", server=server, list=section.value, item=name)
            else:
                _LOG.warning(
                    "the server has changed a locked item; see `mcp-authz lock --diff`, then renew the lock",
                    server=server,
                    list=section.value,
                    item=name,
                    digest=digest or "unreadable",
                )
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._share, server, key, digest)

"""What workers saw of locked items, passed on by their supervisor: to those that serve now, and to those that start later.

The supervisor judges nothing: whether a sighting is a change follows from the lock that each worker has loaded.
"""

from collections.abc import Callable, Iterable

from authz.core.mcp.item import ListName
from authz.core.wire.bounded_cache import BoundedCache
from authz.edge.workers.ipc import Sighting

_KEPT = 16_384
"""Most sightings that are kept for workers to come."""


class SightingExchange:
    """The sightings of all workers of a service."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: BoundedCache[tuple[str, ListName, str], Sighting] = BoundedCache(_KEPT)
        self._listeners: list[Callable[[Sighting], None]] = []

    def join(self, listener: Callable[[Sighting], None]) -> None:
        """Tell `listener` from now on of what others see."""
        self._listeners.append(listener)

    def tell(self, sighting: Sighting, teller: Callable[[Sighting], None]) -> None:
        """Pass a sighting on to everybody but the one who tells, and keep it unless it says that all is well again."""
        key = (sighting.server, sighting.section, sighting.name)
        if sighting.digest is None:
            self._known.pop(key, None)
        else:
            self._known.put(key, sighting)
        for listener in self._listeners:
            if listener != teller:
                listener(sighting)

    def known(self) -> Iterable[Sighting]:
        """Return what a worker that starts must know."""
        return list(self._known.values())

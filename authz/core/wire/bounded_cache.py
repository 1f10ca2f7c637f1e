"""A cache that cannot outgrow its size, with the one eviction rule that every cache of the request path has.

Rules of this module:

* The oldest entries go first, however often they were used. A hit therefore writes nothing, and another thread may
  read what one thread fills.
* A full cache drops a sixteenth of its entries at once. To drop a single entry for each one that comes would scan the
  slots of those dropped before, which makes a long series of misses quadratic.
* A cache is filled only with what a caller with a verified token asked for, or with what the configuration names. A key
  that a stranger can choose at no cost would let him push everybody else's entries out.
* On the way of a response, what an MCP server sends is a key too: labels, lengths, and the names, templates and digests of
  listed items. A server can push out what others left there, and no more: each entry has a longest size, and one that is
  gone is made again for one response.
"""

from itertools import islice
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class BoundedCache(dict[_K, _V]):
    """A dictionary that holds a limited number of entries when it is filled through `put`."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        """Hold at most `size` entries; none if it is 0."""
        super().__init__()
        self._size = size

    def put(self, key: _K, value: _V) -> _V:
        """Remember a value, dropping the oldest entries if there is no room, and return it."""
        if not self._size:
            return value
        if len(self) >= self._size and key not in self:
            for oldest in list(islice(self, 1 + self._size // 16)):
                del self[oldest]
        self[key] = value
        return value

"""One JSON-RPC message, opened down to its lists.

Rules of this module:

* Objects on the way down are opened one level at a time (see `raw_json`), and equal keys and keys that imitate one judged
  are refused in each. Nothing is said about other levels.
* Of `result` and `error` one may be null beside the other, as some servers write it.
* Where the items of the list can be taken out (see `excerpt`), the message is opened without them. Otherwise it is opened
  whole, level by level, with a `yield` between two looks at a large one.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain

from msgspec import DecodeError, Raw

from authz.core.response.excerpt import MARKED, take_out
from authz.core.response.item_reader import LISTS, ItemGroup, read_items
from authz.core.wire.raw_json import UnfitError, refuse_imitations
from authz.core.wire.slices import whole
from authz.core.wire.width import LARGE, open_in_slices

ENTRY = "skill"
"""Member of a result that is the one entry of `skills/get`."""
CACHING = frozenset({"resultType", "ttlMs", "cacheScope"})
"""Members by which a result of MCP 2026-07-28 is known."""
_NULL = Raw(b"null")
_ENVELOPE_KEYS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_RESULT_KEYS = frozenset({*LISTS, *CACHING, ENTRY, "nextCursor"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message, opened.

    Attributes:
        envelope: its members.
        said: the one that says what it is: `method`, `result` or `error`.
        result: the members of the result; None if it has none.
        member: the list that was taken out before the rest was opened; empty for none.
        taken: that list as it was written.
        items: its items.
    """

    envelope: dict[str, Raw]
    said: str
    result: dict[str, Raw] | None
    member: str = ""
    taken: bytes = b""
    items: Iterator[ItemGroup | None] | None = None

    def read(self, member: str, limit: int) -> Iterator[ItemGroup | None]:
        """Return the items of a list of the result, of which there may be as many as the limit; to be asked once."""
        if self.items is not None and member == self.member:
            return self.items
        return read_items(member, bytes((self.result or {})[member]), limit)

    def members(self) -> dict[str, Raw]:
        """Return the members of the result as they were written."""
        result = self.result or {}
        return result | {self.member: Raw(self.taken)} if self.member else result


def open_message(document: bytes, limit: int) -> Generator[None, None, Opened]:
    """Open a message, whose objects may have as many members as the limit.

    Raises:
        UnfitError: it is not to be judged.
        msgspec.DecodeError: it is not JSON of the expected shape.
    """
    return (yield from _without_items(document, limit)) or (yield from _whole(document, limit))


def _without_items(document: bytes, limit: int) -> Generator[None, None, Opened | None]:
    """Open a message without the items of its list; None if it has to be opened whole."""
    excerpt = take_out(document)
    if excerpt is None:
        return None
    try:
        opened = whole(_whole(excerpt.rest, limit))
        if opened.result is None or bytes(opened.result.get(excerpt.member, b"")) != MARKED:
            return None
        groups = read_items(excerpt.member, excerpt.items, limit)
        while (first := next(groups)) is None:
            yield
    except (DecodeError, UnfitError, RecursionError):
        yield from pause(document)
        return None
    return replace(opened, member=excerpt.member, taken=excerpt.items, items=chain((first,), groups))


def _whole(document: bytes, limit: int) -> Generator[None, None, Opened]:
    envelope = yield from open_in_slices(document, limit)
    refuse_imitations(envelope, _ENVELOPE_KEYS)
    said = _said(envelope)
    if said != "result":
        return Opened(envelope=envelope, said=said, result=None)
    yield from pause(document)
    result = yield from open_in_slices(envelope["result"], limit)
    refuse_imitations(result, _RESULT_KEYS)
    return Opened(envelope=envelope, said=said, result=result)


def _said(envelope: Mapping[str, Raw]) -> str:
    """Return the one member that says what a message is; of a result and an error, one may be null.

    Raises:
        UnfitError: there is not exactly one.
    """
    said = envelope.keys() & {"method", "result", "error"}
    if said == {"result", "error"}:
        said = {name for name in said if envelope[name] != _NULL}
    if len(said) != 1:
        msg = "the message is not exactly one of request, notification, result and error"
        raise UnfitError(msg)
    (only,) = said
    return only


def pause(document: bytes) -> Iterator[None]:
    """Yield the thread between two looks at a large document."""
    if len(document) >= LARGE:
        yield

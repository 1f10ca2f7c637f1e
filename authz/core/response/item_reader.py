"""The items of one list, opened: what each is called, and each as it was written.

Rules of this module:

* Nearly every server writes the members that the specification names, without white space between them. Such a list is
  read in one step by a decoder that knows these members (`CommonItems`). It admits no other member, and so no imitation
  of one, and builds nothing of what it passes over.
* That decoder keeps the last of two equal keys. So what it read is written again, in the shortest form there is: if that
  has the length of the text, nothing was dropped, and the text holds nothing else (the argument of `raw_json`). What each
  item was written as then follows from the lengths. Member order does not matter for a length.
* Every other list is opened item by item (`OpenedItems`), a bounded slice at a time. Both are judged by the same code.
* A list beyond its limit is refused before its items are judged (see `authz.core.wire.width`). What is read in one step
  is short in bytes and in objects; a text that is the very one that was read before is not even counted.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from msgspec import UNSET, DecodeError, Raw, UnsetType, defstruct
from msgspec.json import Decoder, Encoder

from authz.core.mcp.item import Kind
from authz.core.policy.lock import Lock
from authz.core.wire.bounded_cache import BoundedCache
from authz.core.wire.raw_json import (
    Written,
    name_at,
    open_each,
    open_items,
    open_members,
    refuse_imitations,
)
from authz.core.wire.width import LARGE, TooWideError, check_members, count_items, open_in_slices

MAX_ITEMS = 20_000
"""Most items of one list unless the caller says otherwise, and most members of one item."""
SLICE_ITEMS = 500
"""Most items that are opened one by one, or judged, before the thread is given back: a few milliseconds."""
_SLICE_BYTES = 262_144
_ONE_STEP = 1_048_576
_MOST_OBJECTS = 32_768
_SPARSE = 8
"""Commas for each item that a list may have and still be opened without a count of its items."""

LISTS: Mapping[str, tuple[Kind, str]] = MappingProxyType(
    {
        "tools": (Kind.TOOL, "name"),
        "prompts": (Kind.PROMPT, "name"),
        "resources": (Kind.RESOURCE, "uri"),
        "resourceTemplates": (Kind.RESOURCE, "uriTemplate"),
        "tasks": (Kind.TASK, "taskId"),
        "skills": (Kind.RESOURCE, "uri"),
    }
)
"""Member of a result that holds a list, to the kind of its items and the member that names an item."""

TEMPLATES, SKILLS, FILES = "resourceTemplates", "skills", "resources"
ITEM_KEYS = frozenset({*(name for _, name in LISTS.values()), "_meta"})

_ENCODE = Encoder().encode


class ItemGroup(Protocol):
    """Some items of a list that stand one behind the other.

    Attributes:
        text: the list as it was written, of these items alone.
        names: what they are called.
        leading: places of the items that can lead to something else.
        approved_by: the lock that was found to approve each of them; None if there was none.
    """

    text: bytes
    names: list[str]
    leading: list[int]
    approved_by: Lock | None

    def written(self, place: int) -> Written:
        """Return an item as it was written."""

    def members(self, place: int) -> dict[str, Raw]:
        """Return the members of an item."""

    def meta(self, place: int) -> bytes:
        """Return the `_meta` of an item that can lead to something else; empty if there is none."""

    def kept(self, shown: list[bool], replaced: Mapping[int, Written]) -> bytes:
        """Return the items that are shown, with a comma between two.

        Args:
            shown: whether each is.
            replaced: what is written in the place of some of these.
        """


class CommonItems:
    """Items with the members of the specification and nothing between them."""

    def __init__(self, text: bytes, items: list[Any]) -> None:
        """Take the items that the text was decoded to."""
        self.text = text
        self.names: list[str] = [item.key for item in items]
        self.leading = [place for place, item in enumerate(items) if item.meta is not UNSET]
        self.approved_by: Lock | None = None
        self._items = items
        self._starts: list[int] = []

    def _borders(self) -> list[int]:
        """Return where each item begins, and where one more would."""
        if not self._starts:
            lengths = (len(_ENCODE(item)) + len(",") for item in self._items)
            self._starts = list(accumulate(lengths, initial=len("[")))
        return self._starts

    def written(self, place: int) -> Raw:
        """Return an item as it was written."""
        starts = self._borders()
        return Raw(self.text[starts[place] : starts[place + 1] - len(",")])

    def members(self, place: int) -> dict[str, Raw]:
        """Return the members of an item."""
        return open_members(self.written(place))

    def meta(self, place: int) -> bytes:
        """Return the `_meta` of an item."""
        return bytes(self._items[place].meta)

    def kept(self, shown: list[bool], replaced: Mapping[int, Written]) -> bytes:
        """Return the items that are shown, with a comma between two."""
        if replaced:
            return _kept(self, shown, replaced)
        text, starts = self.text, self._borders()
        borders = zip(starts, starts[1:], shown, strict=False)
        return b"".join([text[start:end] for start, end, is_shown in borders if is_shown])[: -len(",")]


def _kept(items: ItemGroup, shown: list[bool], replaced: Mapping[int, Written]) -> bytes:
    places = [place for place, is_shown in enumerate(shown) if is_shown]
    return b",".join(_ENCODE(replaced.get(place) or items.written(place)) for place in places)


class OpenedItems:
    """Items in any form.

    Raises:
        UnfitError: a key imitates one that is judged, or an item has no name.
    """

    def __init__(self, member: str, text: bytes, opened: list[tuple[Written, dict[str, Raw]]]) -> None:
        """Take the items as they were written, with their members."""
        self.text = text
        self.approved_by: Lock | None = None
        self._opened = opened
        name_key = LISTS[member][1]
        self.names = [name_at(members, name_key) for _, members in self._opened]
        refuse_imitations(set().union(*(members for _, members in self._opened)), ITEM_KEYS)
        self.leading = [
            place for place, (_, members) in enumerate(self._opened) if member == SKILLS or "_meta" in members
        ]

    def written(self, place: int) -> Written:
        """Return an item as it was written."""
        return self._opened[place][0]

    def members(self, place: int) -> dict[str, Raw]:
        """Return the members of an item."""
        return self._opened[place][1]

    def meta(self, place: int) -> bytes:
        """Return the `_meta` of an item; empty if there is none."""
        return bytes(self._opened[place][1].get("_meta", b""))

    def kept(self, shown: list[bool], replaced: Mapping[int, Written]) -> bytes:
        """Return the items that are shown, with a comma between two."""
        return _kept(self, shown, replaced)


def read_items(member: str, text: bytes, limit: int) -> Iterator[ItemGroup | None]:
    """Open a list, a group of items at a time; None where the thread may be given back, as it may after each group.

    Before the first group is returned it is certain that the text is a list.

    Args:
        member: the member of the result that holds it.
        text: the list as it was written.
        limit: most items that it may have.

    Raises:
        UnfitError: an item is not to be judged.
        TooWideError: there are too many items, or members of one.
        msgspec.DecodeError: it is no list of objects.
    """
    common = _read_lately(member, text, limit) if len(text) <= _ONE_STEP else None
    if common is not None:
        yield common
        return
    for part in _slices(text, limit):
        if part is None:
            yield None
        elif len(part) >= LARGE:
            yield from _open_large(member, part)
        else:
            yield _read_common(member, part) or _open(member, part)


def _open(member: str, text: bytes) -> OpenedItems:
    if text.count(b",") >= MAX_ITEMS:
        for item in open_items(Raw(text)):
            check_members(item, MAX_ITEMS)
    return OpenedItems(member, text, open_each(Raw(text)))


def _open_large(member: str, text: bytes) -> Iterator[OpenedItems | None]:
    """Open a list of a single item that is large by itself."""
    yield None
    (item,) = open_items(Raw(text))
    yield None
    opening = open_in_slices(item, MAX_ITEMS)
    while True:
        try:
            yield next(opening)
        except StopIteration as done:
            yield OpenedItems(member, text, [(item, done.value)])
            return


def _slices(text: bytes, limit: int) -> Iterator[bytes | None]:
    """Cut a list into lists that are short in items and in bytes, or of one item; a short one stays as it is."""
    commas = text.count(b",")
    if commas >= _SPARSE * limit:
        yield None
        count_items(text, limit)
    if commas < min(limit, SLICE_ITEMS) and len(text) <= _SLICE_BYTES:
        yield text
        return
    if len(text) >= LARGE:
        yield None
    items = open_items(Raw(text))
    if len(items) > limit:
        raise TooWideError
    if len(text) >= LARGE:
        yield None
    yield from map(_ENCODE, _grouped(items))


def _grouped(items: list[Raw]) -> Iterator[list[Raw]]:
    """Cut items into groups, at least one, that are short in items and in bytes; a longer item is one by itself."""
    held: list[Raw] = []
    size = 0
    for item in items:
        more = memoryview(item).nbytes
        if held and (len(held) >= SLICE_ITEMS or size + more > _SLICE_BYTES):
            yield held
            held, size = [], 0
        held.append(item)
        size += more
    yield held


_ABOUT = ("title", "description", "icons")
_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tools": (*_ABOUT, "inputSchema", "outputSchema", "annotations", "execution"),
        "prompts": (*_ABOUT, "arguments"),
        "resources": ("name", *_ABOUT, "mimeType", "size", "annotations"),
        "resourceTemplates": ("name", *_ABOUT, "mimeType", "annotations"),
    }
)
"""The members of an item that the specification names, beside the one that is its name and `_meta`."""


_Decode: TypeAlias = Any
"""From a text to objects with `key` and `meta`."""


def _decoder(member: str) -> _Decode:
    optional: Any = Raw | UnsetType
    item = defstruct(
        member,
        [("key", str), *((name, optional, UNSET) for name in (*_MEMBERS[member], "meta"))],
        rename={"key": LISTS[member][1], "meta": "_meta"},
        forbid_unknown_fields=True,
        omit_defaults=True,
        gc=False,
    )
    return Decoder(list[item]).decode  # type: ignore[valid-type]


_READ: Mapping[str, _Decode] = {member: _decoder(member) for member in _MEMBERS}


LATELY: BoundedCache[tuple[str, int], CommonItems] = BoundedCache(8)
"""Lists that were read in one step, by member and length: a server writes the same one to all its callers."""
_KNOWN_ITEMS = 2048
"""Most items of a list that is kept: with its text at most two megabytes."""


def _read_lately(member: str, text: bytes, limit: int) -> CommonItems | None:
    """Read a list in one step unless it is, to the byte, one that was; None if it is not in the common form."""
    key = (member, len(text))
    known = LATELY.get(key)
    if known is None or known.text != text:
        known = _read_common(member, text) if text.count(b"{") <= _MOST_OBJECTS else None
        if known is not None and len(known.names) <= _KNOWN_ITEMS:
            LATELY.put(key, known)
    if known is not None and len(known.names) > limit:
        raise TooWideError
    return known


def _read_common(member: str, text: bytes) -> CommonItems | None:
    """Read a list in one step; None if it is not in the common form."""
    read = _READ.get(member)
    if read is None:
        return None
    try:
        items = read(text)
    except (DecodeError, RecursionError):
        return None
    return CommonItems(text, items) if len(_ENCODE(items)) == len(text) else None

"""The items of one list: which of them its reader sees, and without what they lead to.

Rules of this module:

* What is kept keeps its bytes: an item is written again only when something in it goes (see `item_reader`).
* Equal keys and keys that imitate one judged are refused in an item, in the files of a skill and in `_meta.ui`.
* A kept item does not tell what it leads to and its reader may not see: the interface of a tool, the files of a skill.
* A long list is judged in slices, with a `yield` between them.
"""

from collections.abc import Generator, Iterator, Mapping
from functools import partial
from operator import and_

from msgspec import Raw
from msgspec.json import Encoder

from authz.core.mcp.item import Item, Kind, Visible, resource_or_template
from authz.core.response.filter_result import Count
from authz.core.response.item_reader import (
    FILES,
    ITEM_KEYS,
    LISTS,
    MAX_ITEMS,
    SKILLS,
    SLICE_ITEMS,
    TEMPLATES,
    ItemGroup,
)
from authz.core.response.message_opener import ENTRY
from authz.core.response.recognition import ResponseRecognition
from authz.core.wire.raw_json import (
    UnfitError,
    Written,
    closed,
    name_at,
    open_items,
    open_object,
    refuse_imitations,
    text,
)
from authz.core.wire.width import check_items, check_members

_MAX_FILES = 2000
"""Most files of one skill: it is judged in one piece."""
_NULL = Raw(b"null")
_SKILL_KEYS = frozenset({"uri", FILES})
_INTERFACES = frozenset({"ui/resourceUri", "openai/outputTemplate"})
"""Members of `_meta` that are the URI of an interface."""
_META_KEYS = frozenset({"ui", *_INTERFACES})
_INTERFACE_SCHEME = "ui:"
_UI_KEYS = frozenset({"resourceUri"})

_ENCODE = Encoder().encode


def cut(
    member: str,
    groups: Iterator[ItemGroup | None],
    visible: Visible,
    changes: dict[str, Raw],
    recognise: ResponseRecognition | None = None,
) -> Generator[None, None, Count]:
    """Judge the items of one list; note the shorter list among the changes when it differs.

    Raises:
        ChangedListError: one changed since it was approved, and the list shall not pass for it.
    """
    kept: list[bytes] = []
    total = count = 0
    changed = False
    for items in groups:
        if total or items is None:
            yield
        if items is None:
            continue
        shown = yield from _judged(member, items, visible, recognise)
        replaced = yield from _replaced(member, items, shown, visible)
        here = sum(shown)
        total, count = total + len(shown), count + here
        if here == len(shown) and not replaced:
            kept.append(items.text[1:-1])
            continue
        changed = True
        if here:
            kept.append(items.kept(shown, replaced))
    if changed:
        changes[member] = Raw(b"[" + b",".join(kept) + b"]")
    return Count(kind=LISTS[member][0], kept=count, trimmed=total - count)


def _slices(size: int) -> Iterator[range]:
    """Cut the places of items into ranges, between which the thread is given back."""
    for start in range(0, size, SLICE_ITEMS):
        yield range(start, min(start + SLICE_ITEMS, size))


def _judged(
    member: str, items: ItemGroup, visible: Visible, recognise: ResponseRecognition | None
) -> Generator[None, None, list[bool]]:
    """Return for each item whether it was approved and its reader sees it."""
    names, shown = items.names, list[bool]()
    passing = None
    if recognise is not None:
        passing = yield from recognise.passing(member, items, _slices(len(names)))
    of_name = resource_or_template if member == TEMPLATES else partial(Item, LISTS[member][0])
    for places in _slices(len(names)):
        if shown:
            yield
        shown += [visible(of_name(name)) for name in names[places.start : places.stop]]
    return shown if passing is None else list(map(and_, passing, shown))


def _replaced(
    member: str, items: ItemGroup, shown: list[bool], visible: Visible
) -> Generator[None, None, dict[int, Written]]:
    """Return what is written for the kept items that lead to something their reader may not see, by place.

    Items often have the same `_meta`, so one that leads to nothing hidden is looked at once.
    """
    replaced: dict[int, Written] = {}
    harmless: set[bytes] = set()
    for slice_ in _slices(len(items.leading)):
        if slice_.start:
            yield
        for place in items.leading[slice_.start : slice_.stop]:
            meta = b"" if member == SKILLS else items.meta(place)
            if not shown[place] or meta in harmless:
                continue
            item = items.written(place)
            discreet = _discreet(member, item, items.members(place), visible)
            if discreet is not item:
                replaced[place] = discreet
            elif meta:
                harmless.add(meta)
    return replaced


def cut_entry(
    raw: Raw, visible: Visible, changes: dict[str, Raw], recognise: ResponseRecognition | None = None
) -> Count:
    """Judge the one entry that `skills/get` answers with; it is the same that stands in `skills/list`."""
    members = open_object(raw, ITEM_KEYS)
    name = name_at(members, "uri")
    approved = recognise is None or recognise.passes(SKILLS, name, raw)
    if not (approved and visible(Item(Kind.RESOURCE, name))):
        msg = "a skill that its reader may not see"
        raise UnfitError(msg)
    kept = _discreet(SKILLS, raw, members, visible)
    if kept is not raw:
        changes[ENTRY] = Raw(_ENCODE(kept))
    return Count(kind=Kind.RESOURCE, kept=1, trimmed=0)


def _discreet(member: str, item: Written, members: dict[str, Raw], visible: Visible) -> Written:
    """Return a kept item without what it leads to and its reader may not see."""
    changes: dict[str, Raw] = {}
    if "_meta" in members:
        changes = _without_hidden_interface(members["_meta"], visible)
    if member == SKILLS:
        changes |= _without_hidden_files(members, visible)
    return closed(members | changes) if changes else item


def _without_hidden_interface(raw: Raw, visible: Visible) -> dict[str, Raw]:
    if raw == _NULL:  # servers write what is absent as null
        return {}
    check_members(raw, MAX_ITEMS)  # which counts those of `ui` too
    meta = open_object(raw, _META_KEYS)
    kept = {key: raw for key, raw in meta.items() if not _leads_to_hidden(key, raw, visible)}
    if meta.get("ui", _NULL) != _NULL:
        ui = open_object(meta["ui"], _UI_KEYS)
        uri = ui.pop("resourceUri", _NULL)
        if uri != _NULL and not _shown(uri, visible):
            kept["ui"] = closed(ui)
    return {} if kept == meta else {"_meta": closed(kept)}


def _leads_to_hidden(key: str, raw: Raw, visible: Visible) -> bool:
    """Return whether a member of `_meta` is the URI of an interface that its reader may not see, under any key."""
    if key in _INTERFACES:
        return raw != _NULL and not _shown(raw, visible)
    is_text = memoryview(raw)[0] == ord('"')
    return is_text and text(raw).lower().startswith(_INTERFACE_SCHEME) and not _shown(raw, visible)


def _without_hidden_files(skill: Mapping[str, Raw], visible: Visible) -> dict[str, Raw]:
    refuse_imitations(skill, _SKILL_KEYS)
    if FILES not in skill:
        return {}
    check_items(skill[FILES], _MAX_FILES)
    files = open_items(skill[FILES])
    kept = [file for file in files if visible(Item(Kind.RESOURCE, _uri_of(file)))]
    return {} if kept == files else {FILES: Raw(_ENCODE(kept))}


def _uri_of(file: Raw) -> str:
    return name_at(open_object(file, _SKILL_KEYS), "uri")


def _shown(raw: Raw, visible: Visible) -> bool:
    return visible(Item(Kind.RESOURCE, text(raw)))

"""The items of one list: which of them its reader sees, and without what they lead to.

Rules of this module:

* What is kept keeps its bytes: an item is opened one level at a time (see `raw_json`) and written again only when
  something in it goes.
* Equal keys and keys that imitate one judged are refused in an item, in the files of a skill and in `_meta.ui`.
* A kept item does not tell what it leads to and its reader may not see: the interface of a tool, the files of a skill.
* Counts first: a list beyond its limit is refused before its items are opened (see `authz.core.wire.width`). A long list
  is judged in slices, with a `yield` between them.
"""

from collections.abc import Generator, Iterator, Mapping
from types import MappingProxyType

from msgspec import Raw
from msgspec.json import Encoder

from authz.core.mcp.item import Item, Kind, Visible, resource_or_template
from authz.core.response.filter_result import Count
from authz.core.response.recognition import Recognise
from authz.core.wire.raw_json import (
    UnfitError,
    Written,
    closed,
    name_at,
    open_each,
    open_items,
    open_object,
    refuse_imitations,
    text,
)
from authz.core.wire.width import check_items, check_members

MAX_ITEMS = 20_000
"""Most items of one list unless the caller says otherwise, and most members of one item."""
_SLICE_OBJECTS, _SLICE_BYTES = 1500, 65_536
"""About how many objects and bytes of a list are judged before the thread is given back: a few milliseconds."""
_MAX_FILES = 2000
"""Most files of one skill: it is judged in one piece."""

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


ENTRY = "skill"
"""Member of a result that is the one entry of `skills/get`."""
_NULL = Raw(b"null")
_TEMPLATES, _SKILLS, _FILES = "resourceTemplates", "skills", "resources"
_ITEM_KEYS = frozenset({*(name for _, name in LISTS.values()), "_meta"})
_SKILL_KEYS = frozenset({"uri", _FILES})
_INTERFACES = frozenset({"ui/resourceUri", "openai/outputTemplate"})
"""Members of `_meta` that are the URI of an interface."""
_META_KEYS = frozenset({"ui", *_INTERFACES})
_INTERFACE_SCHEME = "ui:"
_UI_KEYS = frozenset({"resourceUri"})

_ENCODE = Encoder().encode


def cut(
    member: str,
    raw: Raw,
    visible: Visible,
    changes: dict[str, Raw],
    limit: int,
    recognise: Recognise | None = None,
) -> Generator[None, None, Count]:
    """Judge the items of one list; note the shorter list among the changes when it differs.

    Raises:
        ChangedListError: one changed since it was approved, and the list shall not pass for it.
    """
    check_items(raw, limit)
    kept: list[Written] = []
    total, changed = 0, False
    for items in _slices(raw):
        if total:
            yield
        shown = _shown_items(member, open_each(items), visible, recognise)
        total += len(shown)
        changed = changed or any(new is not old for old, new in shown)
        kept += [new for _, new in shown if new is not None]
    if changed:
        changes[member] = Raw(_ENCODE(kept))
    return Count(kind=LISTS[member][0], kept=len(kept), trimmed=total - len(kept))


def _slices(raw: Raw) -> Iterator[Raw]:
    """Cut a list into lists that are short in items and in bytes; a short one stays as it is."""
    document = bytes(raw)
    if len(document) <= _SLICE_BYTES and document.count(b"{") <= _SLICE_OBJECTS:
        yield raw
        return
    held: list[Raw] = []
    size = objects = 0
    for item in open_items(raw):
        check_members(item, MAX_ITEMS)
        held.append(item)
        size += memoryview(item).nbytes
        objects += bytes(item).count(b"{")
        if objects >= _SLICE_OBJECTS or size >= _SLICE_BYTES:
            yield Raw(_ENCODE(held))
            held, size, objects = [], 0, 0
    if held:
        yield Raw(_ENCODE(held))


def _shown_items(
    member: str,
    items: list[tuple[Written, dict[str, Raw]]],
    visible: Visible,
    recognise: Recognise | None,
) -> list[tuple[Written, Written | None]]:
    """Return each item, and what its reader gets of it: None for nothing."""
    kind, name_key = LISTS[member]
    shown: list[tuple[Written, Written | None]] = []
    for item, members in items:
        name = name_at(members, name_key)
        approved = recognise is None or recognise(member, name, item)
        if not (
            approved and visible(resource_or_template(name) if member == _TEMPLATES else Item(kind, name))
        ):
            shown.append((item, None))
            continue
        leads_on = "_meta" in members or member == _SKILLS
        shown.append((item, _discreet(member, item, members, visible) if leads_on else item))
    refuse_imitations(set().union(*(members for _, members in items)), _ITEM_KEYS)
    return shown


def cut_entry(
    raw: Raw, visible: Visible, changes: dict[str, Raw], recognise: Recognise | None = None
) -> Count:
    """Judge the one entry that `skills/get` answers with; it is the same that stands in `skills/list`."""
    members = open_object(raw, _ITEM_KEYS)
    name = name_at(members, "uri")
    approved = recognise is None or recognise(_SKILLS, name, raw)
    if not (approved and visible(Item(Kind.RESOURCE, name))):
        msg = "a skill that its reader may not see"
        raise UnfitError(msg)
    kept = _discreet(_SKILLS, raw, members, visible)
    if kept is not raw:
        changes[ENTRY] = Raw(_ENCODE(kept))
    return Count(kind=Kind.RESOURCE, kept=1, trimmed=0)


def _discreet(member: str, item: Written, members: dict[str, Raw], visible: Visible) -> Written:
    """Return a kept item without what it leads to and its reader may not see."""
    changes: dict[str, Raw] = {}
    if "_meta" in members:
        changes = _without_hidden_interface(members["_meta"], visible)
    if member == _SKILLS:
        changes |= _without_hidden_files(members, visible)
    return closed(members | changes) if changes else item


def _without_hidden_interface(raw: Raw, visible: Visible) -> dict[str, Raw]:
    check_members(raw, MAX_ITEMS)
    meta = open_object(raw, _META_KEYS)
    kept = {key: raw for key, raw in meta.items() if not _leads_to_hidden(key, raw, visible)}
    if "ui" in meta:
        check_members(meta["ui"], MAX_ITEMS)
        ui = open_object(meta["ui"], _UI_KEYS)
        if "resourceUri" in ui and not _shown(ui.pop("resourceUri"), visible):
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
    if _FILES not in skill:
        return {}
    check_items(skill[_FILES], _MAX_FILES)
    files = open_items(skill[_FILES])
    kept = [file for file in files if visible(Item(Kind.RESOURCE, _uri_of(file)))]
    return {} if kept == files else {_FILES: Raw(_ENCODE(kept))}


def _uri_of(file: Raw) -> str:
    return name_at(open_object(file, _SKILL_KEYS), "uri")


def _shown(raw: Raw, visible: Visible) -> bool:
    return visible(Item(Kind.RESOURCE, text(raw)))

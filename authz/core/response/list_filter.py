"""One JSON-RPC message to the same message without the list items its reader may not see.

What is a list is told by shape, never by the request it answers: a resumed stream replays the answers of earlier
requests, and an id proves nothing. A message is a list result when its `result` has one of the members in `LISTS`,
or the one entry of `skills/get`.

Rules of this module:

* Splice, do not rebuild. Objects on the way down are opened one level at a time (see `members`), so numbers, order,
  white space inside members and unknown members of kept items arrive as the server wrote them.
* Equal keys and keys that imitate one judged are refused at every level that is judged: message, result, item, the
  files of a skill, and `_meta.ui` of a tool. Nothing is said about other levels: they decide neither whether this is a
  list nor what an item is called. Hence the original bytes may pass when nothing is to be changed.
* A kept item does not tell what it leads to and its reader may not see: the interface of a tool, the files of a skill.
* Every list is private. Trimmed or not, its content depends on who asked, so a list of the 2026-07-28 era leaves with
  `cacheScope: "private"`; shared caches would hand one caller's list to another.
* Of `result` and `error` one may be null beside the other, as some servers write it.
* A notification about one thing passes if its reader may use that thing, which may be less than is listed (see
  `notifications`).
* Refused is the answer to everything that is neither certainly a list nor certainly none, batches included. Only the
  body of an error status may be other JSON than a message of JSON-RPC, if it holds nothing that a client could read as
  a list (`_is_plain_error`).
* Counts first: how many values an object or a list can have is known from its commas before it is opened, and a list
  beyond its limit is refused before its items are (`authz.core.wire.width`). What remains is done in slices, between
  which the thread is given back: `filter_in_slices` yields there, so no list keeps other callers waiting.

Sources: MCP 2026-07-28 and 2025-11-25 server/{tools,prompts,resources,utilities/caching}, tasks (2025-11-25), skills
(SEP-2640), `_meta.ui.resourceUri` of MCP Apps (SEP-1865), also in its older flat spelling `ui/resourceUri`, and
`openai/outputTemplate` of OpenAI's Apps SDK, which names the same resource.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from msgspec import DecodeError, Raw
from msgspec.json import Decoder, Encoder

from authz.core.mcp.item import Item, Kind, Visible
from authz.core.response.notifications import is_visible
from authz.core.wire.raw_json import (
    UnfitError,
    Written,
    closed,
    name_at,
    open_each,
    open_items,
    open_members,
    open_object,
    refuse_imitations,
    text,
)
from authz.core.wire.width import TooWideError, check_items, check_members

MAX_BYTES = 8 * 1024 * 1024
"""Largest message that is judged, in bytes, unless the caller says otherwise."""
MAX_ITEMS = 20_000
"""Most items of one list unless the caller says otherwise, and most members of one item."""
_SLICE_OBJECTS, _SLICE_BYTES = 1500, 65_536
"""About how many objects and bytes of a list are judged before the thread is given back: a few milliseconds."""
_MAX_FILES = 2000
"""Most files of one skill: it is judged in one piece."""
_LARGE = 524_288
"""Bytes from which one level is opened at a time, with the thread given back before the next."""

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


class Cause(StrEnum):
    """Why a response, or one message of it, was refused. The value is the word used in metrics."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_MANY_ITEMS = "too_many_items"
    NOT_JSON = "not_json"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_READER = "unknown_reader"
    NO_ROOM = "no_room"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterBounds:
    """How much of a message is read.

    Attributes:
        bytes: the largest message.
        items: most items of one list, and most members of an object that is opened.
    """

    bytes: int = MAX_BYTES
    items: int = MAX_ITEMS


DEFAULT_BOUNDS = FilterBounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many items of one list were kept and how many were cut."""

    kind: Kind
    kept: int
    trimmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A list result. `document` is the very object given when nothing had to change; one count for each list."""

    document: bytes
    counts: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Untouched:
    """A JSON-RPC message that certainly holds no list; its own bytes may pass."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A notification about something its reader may not see. It must not pass, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class ListRejected:
    """Bytes that must not pass. `why` is fixed text and holds nothing of them; `cause` is its word in metrics."""

    why: str
    cause: Cause


FilterResult: TypeAlias = Trimmed | Untouched | Withheld | ListRejected
InSlices: TypeAlias = Generator[None, None, FilterResult]
"""Yields where the thread may be given to somebody else; its value is the result."""


_ENCODE = Encoder().encode
_NUMBER = Decoder(int | float).decode

_PRIVATE, _NULL = Raw(b'"private"'), Raw(b"null")
_MODERN = frozenset({"resultType", "ttlMs", "cacheScope"})

_MESSAGE_KEYS = frozenset({"result", "method", "params", *LISTS, "skill"})
"""Members without which an object is no message that a client reads."""
_ENVELOPE_KEYS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_SKILLS, _ENTRY, _FILES = "skills", "skill", "resources"
_RESULT_KEYS = frozenset({*LISTS, *_MODERN, _ENTRY, "nextCursor"})
_ITEM_KEYS = frozenset({*(name for _, name in LISTS.values()), "_meta"})
_SKILL_KEYS = frozenset({"uri", _FILES})
_INTERFACES = frozenset({"ui/resourceUri", "openai/outputTemplate"})
"""Members of `_meta` that are the URI of an interface."""
_META_KEYS = frozenset({"ui", *_INTERFACES})
_INTERFACE_SCHEME = "ui:"
_UI_KEYS = frozenset({"resourceUri"})


def trim(
    document: bytes,
    visible: Visible,
    *,
    usable: Visible | None = None,
    ttl_ms: int | None,
    bounds: FilterBounds = DEFAULT_BOUNDS,
) -> FilterResult:
    """Cut from one message the list items its reader may not see, in one piece; see `filter_in_slices`."""
    slices = filter_in_slices(document, visible, usable=usable, ttl_ms=ttl_ms, bounds=bounds)
    while True:
        try:
            next(slices)
        except StopIteration as done:
            result: FilterResult = done.value
            return result


def filter_in_slices(
    document: bytes,
    visible: Visible,
    *,
    usable: Visible | None = None,
    ttl_ms: int | None,
    bounds: FilterBounds = DEFAULT_BOUNDS,
    error_status: bool = False,
) -> InSlices:
    """Cut from one message the list items its reader may not see, a bounded piece at a time.

    Args:
        document: one complete JSON-RPC message from an MCP server, in UTF-8.
        visible: asked once for each item, and for the interface resource of each kept tool. What it raises passes.
        usable: asked for each thing that a notification is about; None asks `visible`.
        ttl_ms: the longest time in milliseconds that a client may keep a list; None leaves `ttlMs` alone.
        bounds: how much is read.
        error_status: whether it is the body of a response that is no success, which may be other JSON.

    Returns:
        Trimmed for a list result, Untouched for a message that is certainly none, Withheld for a notification that its
        reader must not get, ListRejected for the rest.
    """
    if len(document) > bounds.bytes:
        return ListRejected("the message is too large", Cause.TOO_LARGE)
    try:
        if error_status and _is_plain_error(document, bounds.items):
            return Untouched()
        return (yield from _judge(document, visible, usable or visible, ttl_ms, bounds.items))
    except TooWideError as wide:
        return ListRejected(str(wide), Cause.TOO_MANY_ITEMS)
    except UnfitError as unfit:
        return ListRejected(str(unfit), Cause.AMBIGUOUS)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return ListRejected("the message is not JSON of the expected shape", Cause.NOT_JSON)


def _is_plain_error(document: bytes, limit: int) -> bool:
    """Return whether a body certainly holds no list because it is no message: no object, or one without such members.

    Members that imitate them count as well, since some readers match keys without regard to case.
    """
    if b"{" not in document:
        return True
    document.decode()
    check_members(document, limit)
    members = open_members(document)
    if not _MESSAGE_KEYS.isdisjoint(members):
        return False
    refuse_imitations(members, _MESSAGE_KEYS)
    return True


def _judge(document: bytes, visible: Visible, usable: Visible, ttl_ms: int | None, limit: int) -> InSlices:
    document.decode()  # the JSON decoder skips over strings that are not UTF-8
    yield from _pause(document)
    check_members(document, limit)
    yield from _pause(document)
    envelope = open_object(document, _ENVELOPE_KEYS)
    said = _said(envelope)
    if said == "method":
        return Untouched() if is_visible(envelope, usable) else Withheld()
    if said == "error":
        return Untouched()
    yield from _pause(document)
    check_members(envelope["result"], limit)
    yield from _pause(document)
    result = open_object(envelope["result"], _RESULT_KEYS)
    changes: dict[str, Raw] = {}
    counts: tuple[Count, ...] = ()
    for member in (name for name in result if name in LISTS):
        yield from _pause(document)
        counts += ((yield from _cut(member, result[member], visible, changes, limit)),)
    if _ENTRY in result:
        check_members(result[_ENTRY], limit)
        counts += (_skill(result[_ENTRY], visible, changes),)
    if not counts:
        return Untouched()
    changes |= _caching(result, ttl_ms)
    if changes:
        yield from _pause(document)
        document = _ENCODE(envelope | {"result": closed(result | changes)})
    return Trimmed(document=document, counts=counts)


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


def _pause(document: bytes) -> Iterator[None]:
    """Yield the thread before the next level of a large document is opened."""
    if len(document) >= _LARGE:
        yield


def _cut(
    member: str, raw: Raw, visible: Visible, changes: dict[str, Raw], limit: int
) -> Generator[None, None, Count]:
    """Judge the items of one list; note the shorter list among the changes when it differs."""
    check_items(raw, limit)
    kept: list[Written] = []
    total, changed = 0, False
    for items in _slices(raw):
        if total:
            yield
        shown = _shown_items(member, open_each(items), visible)
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
    member: str, items: list[tuple[Written, dict[str, Raw]]], visible: Visible
) -> list[tuple[Written, Written | None]]:
    """Return each item, and what its reader gets of it: None for nothing."""
    kind, name_key = LISTS[member]
    shown: list[tuple[Written, Written | None]] = []
    for item, members in items:
        if not visible(Item(kind, name_at(members, name_key))):
            shown.append((item, None))
            continue
        leads_on = "_meta" in members or member == _SKILLS
        shown.append((item, _discreet(member, item, members, visible) if leads_on else item))
    refuse_imitations(set().union(*(members for _, members in items)), _ITEM_KEYS)
    return shown


def _skill(raw: Raw, visible: Visible, changes: dict[str, Raw]) -> Count:
    """Judge the one entry that `skills/get` answers with."""
    members = open_object(raw, _ITEM_KEYS)
    if not visible(Item(Kind.RESOURCE, name_at(members, "uri"))):
        msg = "a skill that its reader may not see"
        raise UnfitError(msg)
    kept = _discreet(_SKILLS, raw, members, visible)
    if kept is not raw:
        changes[_ENTRY] = Raw(_ENCODE(kept))
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


def _caching(result: Mapping[str, Raw], ttl_ms: int | None) -> dict[str, Raw]:
    """The caching members (MCP 2026-07-28) that must change; an older result has none and gets none."""
    changes: dict[str, Raw] = {}
    if not _MODERN.isdisjoint(result) and result.get("cacheScope") != _PRIVATE:
        changes["cacheScope"] = _PRIVATE
    if ttl_ms is not None and "ttlMs" in result and not _at_most(result["ttlMs"], ttl_ms):
        changes["ttlMs"] = Raw(str(max(ttl_ms, 0)).encode())
    return changes


def _at_most(raw: Raw, limit: int) -> bool:
    try:
        number: int | float = _NUMBER(raw)
    except DecodeError:
        return False
    return number <= limit

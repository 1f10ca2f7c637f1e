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
* A notification about one thing passes when its reader may use that thing, which may be less than is listed (see `notices`).
* Refused is the answer to everything that is neither certainly a list nor certainly none, batches included.

Sources: MCP 2026-07-28 and 2025-11-25 server/{tools,prompts,resources,utilities/caching}, tasks (2025-11-25), skills
(SEP-2640), `_meta.ui.resourceUri` of MCP Apps (SEP-1865), also in its older flat spelling `ui/resourceUri`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
    open_object,
    refuse_imitations,
    text,
)

MAX_BYTES = 8 * 1024 * 1024
"""Largest message that is judged, in bytes, unless the caller says otherwise."""

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
    """Bytes that must not pass. `why` is fixed text and holds nothing of them."""

    why: str


FilterResult: TypeAlias = Trimmed | Untouched | Withheld | ListRejected


_ENCODE = Encoder().encode
_ITEMS = Decoder(list[Raw]).decode
_NUMBER = Decoder(int | float).decode

_PRIVATE, _NULL = Raw(b'"private"'), Raw(b"null")
_MODERN = frozenset({"resultType", "ttlMs", "cacheScope"})

_ENVELOPE_KEYS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_SKILLS, _ENTRY, _FILES = "skills", "skill", "resources"
_RESULT_KEYS = frozenset({*LISTS, *_MODERN, _ENTRY, "nextCursor"})
_ITEM_KEYS = frozenset({*(name for _, name in LISTS.values()), "_meta"})
_SKILL_KEYS = frozenset({"uri", _FILES})
_META_KEYS = frozenset({"ui", "ui/resourceUri"})
_UI_KEYS = frozenset({"resourceUri"})


def trim(
    document: bytes,
    visible: Visible,
    *,
    usable: Visible | None = None,
    ttl_ms: int | None,
    max_bytes: int = MAX_BYTES,
) -> FilterResult:
    """Cut from one message the list items its reader may not see.

    Args:
        document: one complete JSON-RPC message from an MCP server, in UTF-8.
        visible: asked once for each item, and for the interface resource of each kept tool. What it raises passes.
        usable: asked for each thing that a notification is about; None asks `visible`.
        ttl_ms: the longest time in milliseconds that a client may keep a list; None leaves `ttlMs` alone.
        max_bytes: the largest document that is read.

    Returns:
        Trimmed for a list result, Untouched for a message that is certainly none, Withheld for a notification that its
        reader must not get, Refused for the rest.
    """
    if len(document) > max_bytes:
        return ListRejected("the message is too large")
    try:
        return _judge(document, visible, usable or visible, ttl_ms)
    except UnfitError as unfit:
        return ListRejected(str(unfit))
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return ListRejected("the message is not JSON of the expected shape")


def _judge(document: bytes, visible: Visible, usable: Visible, ttl_ms: int | None) -> FilterResult:
    document.decode()  # the JSON decoder skips over strings that are not UTF-8
    envelope = open_object(document, _ENVELOPE_KEYS)
    answers = envelope.keys() & {"result", "error"}
    if len(answers) > 1:
        answers = {name for name in answers if envelope[name] != _NULL}
    if len(answers) != ("method" not in envelope):
        msg = "the message is not exactly one of request, notification, result and error"
        raise UnfitError(msg)
    if "method" in envelope:
        return Untouched() if is_visible(envelope, usable) else Withheld()
    if "result" not in answers:
        return Untouched()
    result = open_object(envelope["result"], _RESULT_KEYS)
    changes: dict[str, Raw] = {}
    counts = tuple(_cut(member, result[member], visible, changes) for member in result if member in LISTS)
    if _ENTRY in result:
        counts += (_skill(result[_ENTRY], visible, changes),)
    if not counts:
        return Untouched()
    changes |= _caching(result, ttl_ms)
    if changes:
        document = _ENCODE(envelope | {"result": closed(result | changes)})
    return Trimmed(document=document, counts=counts)


def _cut(member: str, raw: Raw, visible: Visible, changes: dict[str, Raw]) -> Count:
    """Judge the items of one list; note the shorter list among the changes when it differs."""
    kind, name_key = LISTS[member]
    items = open_each(raw)
    kept: list[Written] = []
    for item, members in items:
        if visible(Item(kind, name_at(members, name_key))):
            leads_on = "_meta" in members or member == _SKILLS
            kept.append(_discreet(member, item, members, visible) if leads_on else item)
    refuse_imitations(set().union(*(members for _, members in items)), _ITEM_KEYS)
    if len(kept) < len(items) or any(new is not old for new, (old, _) in zip(kept, items, strict=True)):
        changes[member] = Raw(_ENCODE(kept))
    return Count(kind=kind, kept=len(kept), trimmed=len(items) - len(kept))


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
    meta = open_object(raw, _META_KEYS)
    kept = {key: raw for key, raw in meta.items() if key != "ui/resourceUri" or _shown(raw, visible)}
    if "ui" in meta:
        ui = open_object(meta["ui"], _UI_KEYS)
        if "resourceUri" in ui and not _shown(ui.pop("resourceUri"), visible):
            kept["ui"] = closed(ui)
    return {} if kept == meta else {"_meta": closed(kept)}


def _without_hidden_files(skill: Mapping[str, Raw], visible: Visible) -> dict[str, Raw]:
    refuse_imitations(skill, _SKILL_KEYS)
    if _FILES not in skill:
        return {}
    files = _ITEMS(skill[_FILES])
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

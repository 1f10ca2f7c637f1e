"""One JSON-RPC message to the same message without the list items its reader may not see.

What is a list is told by shape, never by the request it answers: a resumed stream replays the answers of earlier
requests, and an id proves nothing. A message is a list result when its `result` has one of the members in `LISTS`.

Rules of this module:

* Splice, do not rebuild. Objects on the way down are opened one level at a time, their members left as raw bytes, so
  numbers, order, white space inside members and unknown members of kept items arrive as the server wrote them.
* What is judged is what is read. A client may keep the first of two equal keys, the last, or match keys without
  regard to case, as some readers in Go do. So at every level that is judged (message, result, item, and `_meta.ui` of
  a tool) a key that occurs twice is refused, and so is one that contains U+0000 or only folds to a key judged there.
  Nothing is said about other levels: they decide neither whether this is a list nor what an item is called.
* Equal keys are found so: members are decoded into a dict, which keeps one of two, and encoded back. If that gives
  the very bytes, nothing was dropped; compact JSON, the common case, ends here. Otherwise the object is decoded again
  under keys that never equal one another, and the two counts must agree. Hence the original bytes may pass when
  nothing is to be changed.
* Every list is private. Trimmed or not, its content depends on who asked, so a list of the 2026-07-28 era leaves with
  `cacheScope: "private"`; shared caches would hand one caller's list to another.
* Refused is the answer to everything that is neither certainly a list nor certainly none, batches included.

Sources: MCP 2026-07-28 and 2025-11-25 server/{tools,prompts,resources,utilities/caching}, tasks (2025-11-25), skills
(SEP-2640), `_meta.ui.resourceUri` of MCP Apps (SEP-1865), also in its older flat spelling `ui/resourceUri`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from msgspec import DecodeError, Raw
from msgspec.json import Decoder, Encoder

from authz.core.item import Item, Kind
from authz.core.lookalike import imitates

Visible: TypeAlias = Callable[[Item], bool]
"""Whether the reader of a list may see an item."""

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
class Refused:
    """Bytes that must not pass. `why` is fixed text and holds nothing of them."""

    why: str


Verdict: TypeAlias = Trimmed | Untouched | Refused


class _UnfitError(Exception):
    """The document must be refused; its text is fixed."""


class _Key(str):
    """A key that equals no other, so that a decoder keeps all of them."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


_ENCODE = Encoder().encode
_MEMBERS = Decoder(dict[str, Raw]).decode
_ALL_MEMBERS = Decoder(dict[_Key, Raw], dec_hook=lambda _type, key: _Key(key)).decode
_ITEMS = Decoder(list[Raw]).decode
_STRING = Decoder(str).decode
_NUMBER = Decoder(int | float).decode

_PRIVATE = Raw(b'"private"')
_MODERN = frozenset({"resultType", "ttlMs", "cacheScope"})

_ENVELOPE_KEYS = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_RESULT_KEYS = frozenset({*LISTS, *_MODERN, "nextCursor"})
_ITEM_KEYS = frozenset({*(name for _, name in LISTS.values()), "_meta"})
_META_KEYS = frozenset({"ui", "ui/resourceUri"})
_UI_KEYS = frozenset({"resourceUri"})


def trim(document: bytes, visible: Visible, *, ttl_ms: int | None, max_bytes: int = MAX_BYTES) -> Verdict:
    """Cut from one message the list items its reader may not see.

    Args:
        document: one complete JSON-RPC message from an MCP server, in UTF-8.
        visible: asked once for each item, and for the interface resource of each kept tool. What it raises passes.
        ttl_ms: the longest time in milliseconds that a client may keep a list; None leaves `ttlMs` alone.
        max_bytes: the largest document that is read.

    Returns:
        Trimmed for a list result, Untouched for a message that is certainly none, Refused for the rest.
    """
    if len(document) > max_bytes:
        return Refused("the message is too large")
    try:
        return _judge(document, visible, ttl_ms)
    except _UnfitError as unfit:
        return Refused(str(unfit))
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return Refused("the message is not JSON of the expected shape")


def _judge(document: bytes, visible: Visible, ttl_ms: int | None) -> Verdict:
    document.decode()  # the JSON decoder skips over strings that are not UTF-8
    envelope = _open(document, _ENVELOPE_KEYS)
    answers = envelope.keys() & {"result", "error"}
    if len(answers) != ("method" not in envelope):
        msg = "the message is not exactly one of request, notification, result and error"
        raise _UnfitError(msg)
    if "result" not in envelope:
        return Untouched()
    result = _open(envelope["result"], _RESULT_KEYS)
    changes: dict[str, Raw] = {}
    counts = tuple(_cut(member, result[member], visible, changes) for member in result if member in LISTS)
    if not counts:
        return Untouched()
    changes |= _caching(result, ttl_ms)
    if changes:
        document = _ENCODE(envelope | {"result": Raw(_ENCODE(result | changes))})
    return Trimmed(document=document, counts=counts)


def _open(raw: bytes | Raw, known: frozenset[str]) -> dict[str, Raw]:
    members = _members(raw)
    _refuse_imitations(members, known)
    return members


def _members(raw: bytes | Raw) -> dict[str, Raw]:
    members = _MEMBERS(raw)
    if _ENCODE(members) != bytes(raw) and len(_ALL_MEMBERS(raw)) != len(members):
        msg = "a key occurs twice in one object"
        raise _UnfitError(msg)
    return members


def _refuse_imitations(keys: Collection[str], known: frozenset[str]) -> None:
    if imitates(keys, known):
        msg = "a key imitates one that is judged"
        raise _UnfitError(msg)


def _cut(member: str, raw: Raw, visible: Visible, changes: dict[str, Raw]) -> Count:
    """Judge the items of one list; note the shorter list among the changes when it differs."""
    kind, name_key = LISTS[member]
    items = _ITEMS(raw)
    kept: list[Raw] = []
    keys: set[str] = set()
    for item in items:
        members = _members(item)
        keys.update(members)
        if visible(Item(kind, _name(members, name_key))):
            kept.append(_without_hidden_interface(item, members, visible) if "_meta" in members else item)
    _refuse_imitations(keys, _ITEM_KEYS)
    if kept != items:
        changes[member] = Raw(_ENCODE(kept))
    return Count(kind=kind, kept=len(kept), trimmed=len(items) - len(kept))


def _name(members: Mapping[str, Raw], key: str) -> str:
    if key not in members:
        msg = "a list item has no name"
        raise _UnfitError(msg)
    return _STRING(members[key])


def _without_hidden_interface(item: Raw, members: dict[str, Raw], visible: Visible) -> Raw:
    meta = _open(members["_meta"], _META_KEYS)
    kept = {key: raw for key, raw in meta.items() if key != "ui/resourceUri" or _shown(raw, visible)}
    if "ui" in meta:
        ui = _open(meta["ui"], _UI_KEYS)
        if "resourceUri" in ui and not _shown(ui.pop("resourceUri"), visible):
            kept["ui"] = Raw(_ENCODE(ui))
    return item if kept == meta else Raw(_ENCODE(members | {"_meta": Raw(_ENCODE(kept))}))


def _shown(raw: Raw, visible: Visible) -> bool:
    return visible(Item(Kind.RESOURCE, _STRING(raw)))


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

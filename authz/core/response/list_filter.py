"""One JSON-RPC message to the same message without the list items its reader may not see.

What is a list is told by shape, never by the request it answers: a resumed stream replays the answers of earlier
requests, and an id proves nothing. A message is a list result when its `result` has one of the members in `LISTS`,
or the one entry of `skills/get`.

Rules of this module:

* Splice, do not rebuild. Objects on the way down are opened one level at a time (see `message_opener`), so numbers, order,
  white space inside members and unknown members of kept items (see `item_reader`) arrive as the server wrote them. A
  message of which nothing goes passes as the bytes it came in.
* Equal keys and keys that imitate one judged are refused at every level that is judged. Nothing is said about other
  levels: they decide neither whether this is a list nor what an item is called. Hence the original bytes may pass when
  nothing is to be changed.
* Every list is private. Trimmed or not, its content depends on who asked, so a list of the 2026-07-28 era leaves with
  `cacheScope: "private"`; shared caches would hand one caller's list to another.
* A notification about one thing passes if its reader may use that thing, which may be less than is listed (see
  `notifications`).
* Refused is the answer to everything that is neither certainly a list nor certainly none, batches included. Only the
  body of an error status may be other JSON than a message of JSON-RPC, if it holds nothing that a client could read as
  a list (`_is_plain_error`).
* Counts first: a message beyond its budget of values is refused before any is read, and how many values an object or a
  list can have is known from its commas before it is opened (`authz.core.wire.width`). What remains is done in slices,
  between which the thread is given back: `filter_in_slices` yields there, so no list keeps other callers waiting.

Sources: MCP 2026-07-28 and 2025-11-25 server/{tools,prompts,resources,utilities/caching}, tasks (2025-11-25), skills
(SEP-2640), `_meta.ui.resourceUri` of MCP Apps (SEP-1865), also in its older flat spelling `ui/resourceUri`, and
`openai/outputTemplate` of OpenAI's Apps SDK, which names the same resource.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from msgspec import DecodeError, Raw
from msgspec.json import Decoder, Encoder

from authz.core.mcp.item import Visible
from authz.core.response.filter_result import (
    Cause,
    Count,
    FilterResult,
    ListRejected,
    Trimmed,
    Untouched,
    Withheld,
)
from authz.core.response.item_reader import LISTS, MAX_ITEMS
from authz.core.response.list_items import cut, cut_entry
from authz.core.response.message_opener import CACHING, ENTRY, open_message, pause
from authz.core.response.notifications import is_visible
from authz.core.response.plain_result import is_plain_result
from authz.core.response.recognition import ChangedListError, ResponseRecognition
from authz.core.wire.raw_json import UnfitError, closed, refuse_imitations
from authz.core.wire.slices import whole
from authz.core.wire.width import (
    MAX_VALUES,
    TooWideError,
    check_members,
    check_text,
    check_values,
    open_in_slices,
)

MAX_BYTES = 8 * 1024 * 1024
"""Largest message that is judged, in bytes, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterBounds:
    """How much of a message is read.

    Attributes:
        bytes: the largest message.
        items: most items of one list, and most members of an object that is opened.
        values: most JSON values of the message.
    """

    bytes: int = MAX_BYTES
    items: int = MAX_ITEMS
    values: int = MAX_VALUES


DEFAULT_BOUNDS = FilterBounds()
InSlices: TypeAlias = Generator[None, None, FilterResult]
"""Yields where the thread may be given to somebody else; its value is the result."""

_CAUSES: Mapping[type[Exception], Cause] = MappingProxyType(
    {ChangedListError: Cause.CHANGED, TooWideError: Cause.TOO_MANY_ITEMS, UnfitError: Cause.AMBIGUOUS}
)
_ENCODE = Encoder().encode
_NUMBER = Decoder(int | float).decode

_PRIVATE = Raw(b'"private"')

_MESSAGE_KEYS = frozenset({"result", "method", "params", *LISTS, ENTRY})
"""Members without which an object is no message that a client reads."""


def trim(
    document: bytes,
    visible: Visible,
    *,
    usable: Visible | None = None,
    ttl_ms: int | None,
    bounds: FilterBounds = DEFAULT_BOUNDS,
) -> FilterResult:
    """Cut from one message the list items its reader may not see, in one piece; see `filter_in_slices`."""
    return whole(filter_in_slices(document, visible, usable=usable, ttl_ms=ttl_ms, bounds=bounds))


def filter_in_slices(
    document: bytes,
    visible: Visible,
    *,
    usable: Visible | None = None,
    ttl_ms: int | None,
    bounds: FilterBounds = DEFAULT_BOUNDS,
    error_status: bool = False,
    recognise: ResponseRecognition | None = None,
) -> InSlices:
    """Cut from one message the list items its reader may not see, a bounded piece at a time.

    Args:
        document: one complete JSON-RPC message from an MCP server, in UTF-8.
        visible: asked once for each item, and for the interface resource of each kept tool. What it raises passes.
        usable: asked for each thing that a notification is about; None asks `visible`.
        ttl_ms: the longest time in milliseconds that a client may keep a list; None leaves `ttlMs` alone.
        bounds: how much is read.
        error_status: whether it is the body of a response that is no success, which may be other JSON.
        recognise: compares each item with what was approved before it is judged; None where nothing was.

    Returns:
        Trimmed for a list result, Untouched for a message that is certainly none, Withheld for a notification that its
        reader must not get, ListRejected for the rest.
    """
    if len(document) > bounds.bytes:
        return ListRejected("the message is too large", Cause.TOO_LARGE)
    if is_plain_result(document, bounds.items):
        return Untouched()
    try:
        yield from check_values(document, bounds.values)
        yield from check_text(document)
        if error_status and (yield from _is_plain_error(document, bounds.items)):
            return Untouched()
        return (yield from _judge(document, visible, usable or visible, ttl_ms, bounds.items, recognise))
    except (ChangedListError, TooWideError, UnfitError) as error:
        return ListRejected(str(error), _CAUSES[type(error)])
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return ListRejected("the message is not JSON of the expected shape", Cause.NOT_JSON)


def _is_plain_error(document: bytes, limit: int) -> Generator[None, None, bool]:
    """Return whether a body certainly holds no list because it is no message: no object, or one without such members.

    Members that imitate them count as well, since some readers match keys without regard to case.
    """
    if b"{" not in document:
        return True
    members = yield from open_in_slices(document, limit)
    if not _MESSAGE_KEYS.isdisjoint(members):
        return False
    refuse_imitations(members, _MESSAGE_KEYS)
    return True


def _judge(
    document: bytes,
    visible: Visible,
    usable: Visible,
    ttl_ms: int | None,
    limit: int,
    recognise: ResponseRecognition | None,
) -> InSlices:
    opened = yield from open_message(document, limit)
    result = opened.result
    if result is None:
        seen = opened.said == "error" or is_visible(opened.envelope, usable)
        return Untouched() if seen else Withheld()
    changes: dict[str, Raw] = {}
    counts: tuple[Count, ...] = ()
    for member in (name for name in result if name in LISTS):
        yield from pause(document)
        counts += ((yield from cut(member, opened.read(member, limit), visible, changes, recognise)),)
    if ENTRY in result:
        check_members(result[ENTRY], limit)
        counts += (cut_entry(result[ENTRY], visible, changes, recognise),)
    if not counts:
        return Untouched()
    changes |= _caching(result, ttl_ms)
    if changes:
        yield from pause(document)
        document = _ENCODE(opened.envelope | {"result": closed(opened.members() | changes)})
    return Trimmed(document=document, counts=counts)


def _caching(result: Mapping[str, Raw], ttl_ms: int | None) -> dict[str, Raw]:
    """The caching members (MCP 2026-07-28) that must change; an older result has none and gets none."""
    changes: dict[str, Raw] = {}
    if not CACHING.isdisjoint(result) and result.get("cacheScope") != _PRIVATE:
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

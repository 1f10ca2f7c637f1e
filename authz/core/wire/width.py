"""How wide a JSON document is, before anything of it is opened.

Opening an object or a list costs some fifty nanoseconds for each value and a tenth of a nanosecond for each byte; a
document of a million values holds the thread for longer than a thousand calls. So values are counted first.

Rules of this module:

* A container has at most one value more than there are commas in it. Counting commas is the cheapest look at a document
  there is, and settles nearly every one: few hold as many commas as the limit allows values.
* Beyond that, an object may be wide only in members that are known to be left alone or to be opened by themselves: their
  commas are taken off. What is looked for is read by `_Members`, which makes no object of what it passes over.
* A list is counted item by item only if it may have too many. A list with `DENSE` times as many commas as it may have
  items is refused without a count, because the count alone would take too long.
"""

from msgspec import Raw, Struct
from msgspec.json import Decoder

from authz.core.wire.raw_json import UnfitError

DENSE = 32
"""Commas for each item that a list may have, and still be counted: an item of a hundred members is not unusual."""


class TooWideError(UnfitError):
    """There are more values than may be opened."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("the message holds too many values")


_NONE = Raw(b"")


class _Members(Struct, gc=False, rename={"meta": "_meta"}):
    """The members of a message and of a result that may be wide, because they are not opened or counted by themselves."""

    result: Raw = _NONE
    error: Raw = _NONE
    params: Raw = _NONE
    tools: Raw = _NONE
    prompts: Raw = _NONE
    resources: Raw = _NONE
    resourceTemplates: Raw = _NONE  # noqa: N815 - a name of MCP
    tasks: Raw = _NONE
    skills: Raw = _NONE
    skill: Raw = _NONE
    content: Raw = _NONE
    structuredContent: Raw = _NONE  # noqa: N815 - a name of MCP
    contents: Raw = _NONE
    messages: Raw = _NONE
    completion: Raw = _NONE
    inputRequests: Raw = _NONE  # noqa: N815 - a name of MCP
    inputSchema: Raw = _NONE  # noqa: N815 - a name of MCP
    outputSchema: Raw = _NONE  # noqa: N815 - a name of MCP
    meta: Raw = _NONE


class _Item(Struct, gc=False):
    """An item that is only counted."""


_WIDE = tuple(_Members.__struct_fields__)
_PROBE = Decoder(_Members).decode
_COUNT = Decoder(list[_Item]).decode


def check_members(raw: bytes | Raw, limit: int) -> None:
    """Refuse an object that could have more members than `limit`, beside those that may be wide.

    Raises:
        TooWideError: it could.
        msgspec.DecodeError: it is no object.
    """
    document = bytes(raw)
    commas = document.count(b",")
    if commas < limit:
        return
    members = _PROBE(document)
    if commas - sum(bytes(getattr(members, name)).count(b",") for name in _WIDE) >= limit:
        raise TooWideError


def check_items(raw: Raw, limit: int) -> None:
    """Refuse a list with more items than `limit`, and one that could have an item with too many members.

    Raises:
        TooWideError: it has.
        msgspec.DecodeError: it is no list of objects.
    """
    document = bytes(raw)
    commas = document.count(b",")
    if commas < limit:
        return
    if commas >= DENSE * limit or len(_COUNT(document)) > limit:
        raise TooWideError

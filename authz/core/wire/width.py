"""How wide a JSON document is, before anything of it is opened.

Opening an object or a list costs some fifty nanoseconds for each value and half a nanosecond for each byte; a
document of a million values holds the thread for longer than a thousand calls. So values are counted first.

Rules of this module:

* What is passed over costs as well: five nanoseconds for each value, in one step that cannot be left. So a document has a
  budget of values (`check_values`), counted in windows between which the thread is given back. What stands in strings
  does not count, but for escapes, three for one. A short document is not counted: whatever it holds, passing over it does not take longer.

* A container has at most one value more than there are commas in it. Counting commas is the cheapest look at a document
  there is, and settles nearly every one: few hold as many commas as the limit allows values.
* Beyond that, an object may be wide only in members that are known to be left alone or to be opened by themselves: their
  commas are taken off. What is looked for is read by `_Members`, which makes no object of what it passes over.
* A list is counted item by item only if it may have too many, and no further than to the first that is too many.
"""

from codecs import getincrementaldecoder
from collections.abc import Generator, Iterator

from msgspec import Raw, Struct, defstruct
from msgspec.json import Decoder

from authz.core.wire.raw_json import UnfitError, read_members, refuse_equal_keys

MAX_VALUES = 1_500_000
"""Most JSON values of a document unless the caller says otherwise: passing over them takes some ten milliseconds."""
LARGE = 524_288
"""Bytes from which the thread is given back between two looks at a document."""
_SHORT = 4_194_304
"""Bytes up to which the values of a document are not counted: passing over it takes some ten milliseconds at most."""
_LONG_WINDOW, _WINDOW = 4_194_304, 262_144
"""Bytes whose punctuation is counted before the thread is given back, and bytes out of which strings are cut."""


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


_WIDE = tuple(_Members.__struct_fields__)
_PROBE = Decoder(_Members).decode


def check_values(document: bytes, limit: int) -> Iterator[None]:
    """Refuse a document that holds more values than `limit`; yield where the thread may be given back.

    Raises:
        TooWideError: it does.
    """
    if len(document) <= _SHORT or (yield from _values(document, _LONG_WINDOW)) <= limit:
        return
    values, inside = 1, 0
    start = 0
    while start < len(document):
        end = _end_of_window(document, start)
        window = document[start:end]
        parts = _without_escapes(window).split(b'"')
        values += _punctuation(b"".join(parts[inside::2])) + window.count(b"\\") // _ESCAPES
        inside = (inside + len(parts) - 1) % 2
        if values > limit:
            raise TooWideError
        start = end
        yield


def _values(document: bytes, window: int) -> Generator[None, None, int]:
    """Return at most how many values a document holds: what stands in strings counts as well."""
    values = 1
    for start in range(0, len(document), window):
        part = document[start : start + window]
        values += _punctuation(part) + part.count(b"\\") // _ESCAPES
        yield
    return values


_ESCAPES = 3
"""How many escapes take as long to pass over as one value."""
_NO_PUNCTUATION = bytes(set(range(256)).difference(b",[{"))


def _punctuation(text: bytes) -> int:
    """Return how many values begin within a text that stands outside of strings: a container has one more than commas."""
    return len(text.translate(None, _NO_PUNCTUATION))


def _without_escapes(text: bytes) -> bytes:
    """Drop what could hide the end of a string: backslashes pair up from the left, and an odd one escapes a quote."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text


def _end_of_window(document: bytes, start: int) -> int:
    """Return where a window ends that begins outside of an escape: not within one."""
    end = start + _WINDOW
    if document[end - 1 : end] != b"\\":
        return end
    window = document[start:end]
    return end + (len(window) - len(window.rstrip(b"\\"))) % 2


def open_in_slices(raw: bytes | Raw, limit: int) -> Generator[None, None, dict[str, Raw]]:
    """Open an object of at most `limit` members, beside those that may be wide; yield where the thread may be given back.

    Raises:
        TooWideError: it could have more.
        UnfitError: a key occurs twice.
        msgspec.DecodeError: it is no object.
    """
    document = bytes(raw)
    for _ in _check_members(document, limit):
        if len(document) >= LARGE:
            yield
    members, distinct = read_members(document)
    if not distinct:
        if len(document) >= LARGE:
            yield
        refuse_equal_keys(document, members)
    return members


def _check_members(document: bytes, limit: int) -> Iterator[None]:
    """Refuse an object that could have more members than `limit`; yield after each look at the document."""
    commas = document.count(b",")
    yield
    if commas < limit:
        return
    members = _PROBE(document)
    yield
    for name in _WIDE:
        if part := bytes(getattr(members, name)):
            commas -= part.count(b",")
            yield
    if commas >= limit:
        raise TooWideError


def check_text(document: bytes) -> Iterator[None]:
    """Refuse a document that is not UTF-8, since the JSON decoder skips over strings; yield where the thread may be given back.

    Raises:
        UnicodeDecodeError: it is not.
    """
    if document.isascii():
        return
    decode = getincrementaldecoder("utf-8")().decode
    for start in range(0, len(document), LARGE):
        if start:
            yield
        decode(document[start : start + LARGE], start + LARGE >= len(document))


def check_members(raw: bytes | Raw, limit: int) -> None:
    """Refuse an object that could have more members than `limit`, beside those that may be wide.

    Raises:
        TooWideError: it could.
        msgspec.DecodeError: it is no object.
    """
    for _ in _check_members(bytes(raw), limit):
        pass


def check_items(raw: bytes | Raw, limit: int) -> None:
    """Refuse a list of objects that has more than `limit`.

    Raises:
        TooWideError: it has.
        msgspec.DecodeError: it is no list of objects.
    """
    document = bytes(raw)
    if document.count(b",") >= limit:
        count_items(document, limit)


def count_items(document: bytes, limit: int) -> None:
    """Read a list up to its end, or to the first item beyond `limit`.

    Raises:
        TooWideError: there is one.
        msgspec.DecodeError: it is no list of objects.
    """
    left = iter(range(limit))

    def count(_item: object) -> None:
        if next(left, None) is None:
            raise TooWideError  # the decoder stops there

    item = defstruct("Item", [], namespace={"__post_init__": count}, gc=False)
    Decoder(list[item]).decode(document)  # type: ignore[valid-type]

"""Bytes to a JSON value, where every parser that could read the same bytes agrees on the value.

The only reader of request bodies, token segments and key sets. A later reader of the bytes (an MCP server in
Go, TypeScript, Java) must not see another message than the one that was judged. Parsers differ in the corners of
JSON, so the corners are refused and not interpreted (RFC 8259, narrowed to I-JSON, RFC 7493):

* UTF-8 only, no byte order mark, no raw surrogates: decoding is strict and comes first.
* No key twice in one object, at any depth, after escapes are resolved: some readers keep the first, some the last.
* No NaN and no Infinity. A number that a double does not hold exactly (RFC 7493, section 2.2) is not one number to
  every reader: JavaScript and Go round it, others wrap or fail. `loads` refuses integers beyond int64 and what
  overflows; `loads_marked` lets every such number stand as an `InexactNumber`, which no rule takes for a number.
* No lone surrogates by escape: others replace them, so two names become one.
* No trailing data; only JSON's four white-space characters around and between.
* Depth is bounded *before* parsing, in linear time. A document with no more opening brackets than the limit cannot
  nest deeper, which settles nearly every call by two counts. Otherwise escapes and strings are dropped by passes
  that cannot backtrack, and the remaining brackets are summed. Up to the first syntax error this scan and the parser
  agree on what is a string; at that error the parser stops. So the parser never recurses past the limit.

The grammar itself is the standard library's C scanner, made strict by hooks. In front of it stands a short cut for the
form in which nearly every client writes: when msgspec reads the bytes and writes its value back as the very same bytes,
then no key was dropped, no number, escape or space was written in another way, and there is nothing left to refuse
or to mark but numbers of many digits.
"""

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from math import isfinite, isinf
from typing import Any, NoReturn, TypeAlias, cast

import msgspec

from authz.core.wire.confusables import OverBudgetError

JSONValue: TypeAlias = "dict[str, JSONValue] | list[JSONValue] | str | int | float | bool | None"
"""A decoded JSON value; integers lie within int64, floats are finite, strings encode to UTF-8."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_INT64_CHARS = 20
"""Length of the longest int64 literal; a longer one is refused before it is converted, which is not linear."""

_NUMBER_CHARS = 64
"""Length from which a number is inexact without a look: reading it takes time in the square of its digits."""

_STEPS = bytes(1 if c in b"[{" else 0xFF for c in range(256))
"""For brackets alone: opening ones become 1, closing ones -1 when read as signed bytes."""
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")


class StrictJSONError(ValueError):
    """The bytes are not strict JSON. Its text is one of a few fixed ones and holds nothing of the input."""


class InexactNumber(msgspec.Struct, frozen=True):
    """A number that readers take for different values, in the place where it stands.

    An integer is exact if it lies within int64 and a double holds it. A fraction is exact if it is what a double is
    written as: converted to a double and back to the shortest text that means it, its decimal value is the same.

    Attributes:
        literal: as it was written.
    """

    literal: str


def loads(data: bytes, *, max_depth: int = 64) -> JSONValue:
    """Decode one JSON document.

    Args:
        data: the whole document, in UTF-8.
        max_depth: how many arrays and objects may be open at once.

    Returns:
        The value; objects as dict in document order.

    Raises:
        StrictJSONError: for anything else than one strict document. Nothing else is raised, whatever the bytes.
    """
    _refuse_depth(data, max_depth)
    return cast("JSONValue", _load(data, _strict))


def loads_marked(data: bytes, *, max_depth: int, nodes: int, keys: int) -> Any:
    """Decode one JSON document whose numbers may be of any size.

    Args:
        data: the whole document, in UTF-8.
        max_depth: how many arrays and objects may be open at once.
        nodes: how many values it may hold, itself included.
        keys: how many members its objects may have together.

    Returns:
        The value as `loads` has it, with an `InexactNumber` for each number that a double does not hold exactly.

    Raises:
        OverBudgetError: it holds more values or keys; they are counted before any is read.
        StrictJSONError: for anything else than one strict document.
    """
    _refuse_excess(data, nodes, keys)
    _refuse_depth(data, max_depth)
    return _load(data, _marking)


def _marking(data: bytes) -> json.JSONDecoder:
    return _MARKING if _are_few_fractions(data) else _MARKING_ALL


def _strict(_data: bytes) -> json.JSONDecoder:
    return _STRICT


def _load(data: bytes, decoder_for: Callable[[bytes], json.JSONDecoder]) -> Any:
    doubtful = _is_doubtful(data)
    value = _UNREAD if doubtful else _canonical(data)
    if value is not _UNREAD:
        return value
    value = _parse(_text(data), decoder_for(data) if doubtful else _PLAIN)
    if b"\\ud" in data or b"\\uD" in data:
        _refuse_lone_surrogates(value)
    return value


_UNREAD = object()
_EXACT_DIGITS = 15
"""Digits of a number that a double holds whatever they are."""
_SHAPES = bytes(ord("0") if c in b"0123456789." else ord("e") if c in b"eE" else 0x20 for c in range(256))
_EXPONENT, _MANY_DIGITS = b"0e", b"0" * (_EXACT_DIGITS + 1)
_READ = msgspec.json.Decoder().decode
_WRITE = msgspec.json.Encoder().encode


def _is_doubtful(data: bytes) -> bool:
    """Return whether there may be a number of many digits, or with an exponent, which msgspec takes long to read.

    Hosts and ids look like one as well (`.example`, `a10e5b`), so what stands in strings is left out at a second look.
    """
    return _looks_doubtful(data) and _looks_doubtful(_outside_strings(_drop_escapes(data)))


def _looks_doubtful(data: bytes) -> bool:
    shapes = data.translate(_SHAPES)
    return _EXPONENT in shapes or _MANY_DIGITS in shapes


def _canonical(data: bytes) -> object:
    """Return the value of a document written as msgspec would write it, `_UNREAD` for any other."""
    try:
        value = _READ(data)
        if _WRITE(value) == data:
            return value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return _UNREAD


def _refuse_excess(data: bytes, nodes: int, keys: int) -> None:
    """Count values and keys by their punctuation; what is in strings is dropped only where it could matter."""
    if len(data) <= min(nodes, keys) or _within(data, nodes, keys):
        return
    bare = _drop_escapes(data)
    # Each string is a value or a key, so a text with more of them is given up before they are cut out.
    if bare.count(b'"') > 2 * (nodes + keys) or not _within(_outside_strings(bare), nodes, keys):
        raise OverBudgetError


def _within(text: bytes, nodes: int, keys: int) -> bool:
    """Return whether there are no more values and keys; a container holds one value more than it has commas."""
    return 1 + text.count(b",") + _openings(text) <= nodes and text.count(b":") <= keys


def _refuse_depth(data: bytes, max_depth: int) -> None:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    outside = _outside_strings(_drop_escapes(data))
    closings = outside.count(b"]") + outside.count(b"}")
    if closings > _openings(outside):  # never JSON; and not summed, for there can be a megabyte of them
        msg = "not JSON"
        raise StrictJSONError(msg)
    steps = outside.translate(_STEPS, _NOT_BRACKETS)
    if max(accumulate(memoryview(steps).cast("b")), default=0) > max_depth:
        msg = "nested too deeply"
        raise StrictJSONError(msg)


def _openings(text: bytes) -> int:
    return text.count(b"[") + text.count(b"{")


def _drop_escapes(data: bytes) -> bytes:
    """Drop what could hide the end of a string: backslashes pair up from the left, and an odd one escapes a quote."""
    return data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data


def _outside_strings(bare: bytes) -> bytes:
    return b"".join(bare.split(b'"')[::2])


# The errors of the standard library carry the whole input. They are left behind before ours is raised, so that ours
# does not carry them as its context.


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    msg = "not UTF-8"
    raise StrictJSONError(msg)


def _parse(text: str, decoder: json.JSONDecoder) -> Any:
    try:
        return decoder.decode(text)
    except json.JSONDecodeError:
        pass
    msg = "not JSON"
    raise StrictJSONError(msg)


def _refuse_lone_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=lambda _number: None).encode("utf-8")
    except UnicodeEncodeError:
        pass
    else:
        return
    msg = "lone surrogate"
    raise StrictJSONError(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "duplicate key"
        raise StrictJSONError(msg)
    return members


def _int(literal: str) -> int:
    if len(literal) <= _INT64_CHARS and _INT64_MIN <= (number := int(literal)) <= _INT64_MAX:
        return number
    msg = "integer out of range"
    raise StrictJSONError(msg)


def _float(literal: str) -> float:
    number = float(literal)
    if isinf(number):
        msg = "number out of range"
        raise StrictJSONError(msg)
    return number


_FRACTIONS = 4096
"""Most fractions of one document that are looked at, each for about a microsecond; where there are more, all are inexact."""


def _are_few_fractions(data: bytes) -> bool:
    return (
        _point_count(data) <= _FRACTIONS or _point_count(_outside_strings(_drop_escapes(data))) <= _FRACTIONS
    )


def _point_count(text: bytes) -> int:
    return text.count(b".") + text.count(b"e") + text.count(b"E")


def _marked_int(literal: str) -> int | InexactNumber:
    if (
        len(literal) <= _INT64_CHARS
        and _INT64_MIN <= (number := int(literal)) <= _INT64_MAX
        and float(number) == number
    ):
        return number
    return InexactNumber(literal)


def _marked_float(literal: str) -> float | InexactNumber:
    if len(literal) <= _NUMBER_CHARS and isfinite(number := float(literal)) and _means(literal, number):
        return number
    return InexactNumber(literal)


def _means(literal: str, number: float) -> bool:
    """Return whether a literal's decimal value is that of the shortest text for a double."""
    shortest = repr(number)
    if "e" not in shortest and "e" not in literal and "E" not in literal:
        return literal.rstrip("0") == shortest.rstrip("0")
    try:
        return shortest == literal or Decimal(shortest) == Decimal(literal)
    except InvalidOperation:  # an exponent beyond what even a decimal has
        return False


def _constant(_literal: str) -> NoReturn:
    msg = "not a JSON number"
    raise StrictJSONError(msg)


_PLAIN = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
"""For documents in which no number is doubtful."""
_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)
_MARKING = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_marked_int, parse_float=_marked_float, parse_constant=_constant
)
_MARKING_ALL = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_marked_int, parse_float=InexactNumber, parse_constant=_constant
)

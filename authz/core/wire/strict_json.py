"""Bytes to a JSON value, where every parser that could read the same bytes agrees on the value.

The only reader of request bodies, token segments and key sets. A later reader of the bytes (an MCP server in
Go, TypeScript, Java) must not see another message than the one that was judged. Parsers differ in the corners of
JSON, so the corners are refused and not interpreted (RFC 8259, narrowed to I-JSON, RFC 7493):

* UTF-8 only, no byte order mark, no raw surrogates: decoding is strict and comes first.
* No key twice in one object, at any depth, after escapes are resolved: some readers keep the first, some the last.
* No NaN, no Infinity, no literal that overflows to infinity; integers within int64: others round, wrap or fail.
* No lone surrogates by escape: others replace them, so two names become one.
* No trailing data; only JSON's four white-space characters around and between.
* Depth is bounded *before* parsing, in linear time. A document with no more opening brackets than the limit cannot
  nest deeper, which settles nearly every call by two counts. Otherwise escapes and strings are dropped by passes
  that cannot backtrack, and the remaining brackets are summed. Up to the first syntax error this scan and the parser
  agree on what is a string; at that error the parser stops. So the parser never recurses past the limit.

The grammar itself is the standard library's C scanner, made strict by hooks. In front of it stands a short cut for the
form in which nearly every client writes: when msgspec reads the bytes and writes its value back as the very same bytes,
then no key was dropped, no number, escape or space was written in another way, and there is nothing left to refuse
but integers beyond int64, which have at least 19 digits.
"""

import json
import re
from itertools import accumulate
from math import isinf
from typing import Any, NoReturn, TypeAlias, cast

import msgspec

JSONValue: TypeAlias = "dict[str, JSONValue] | list[JSONValue] | str | int | float | bool | None"
"""A decoded JSON value; integers lie within int64, floats are finite, strings encode to UTF-8."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_INT64_CHARS = 20
"""Length of the longest int64 literal; a longer one is refused before it is converted, which is not linear."""

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STEPS = bytes(1 if c in b"[{" else 0xFF for c in range(256))
"""For brackets alone: opening ones become 1, closing ones -1 when read as signed bytes."""
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")


class StrictJSONError(ValueError):
    """The bytes are not strict JSON. Its text is one of a few fixed ones and holds nothing of the input."""


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
    if data.count(b"[") + data.count(b"{") > max_depth and _depth(data) > max_depth:
        msg = "nested too deeply"
        raise StrictJSONError(msg)
    value = _canonical(data)
    if value is not _UNREAD:
        return cast("JSONValue", value)
    value = _parse(_text(data))
    if b"\\ud" in data or b"\\uD" in data:
        _refuse_lone_surrogates(value)
    return value


_UNREAD = object()
_DOUBTFUL = re.compile(rb"[0-9](?:[eE]|[0-9]{18})")
"""A number that may be beyond int64, or with an exponent, which msgspec takes long to read."""
_FEW_DIGITS = 18
_NOT_DIGITS = bytes(c for c in range(256) if not 0x30 <= c <= 0x39)
_READ = msgspec.json.Decoder().decode
_WRITE = msgspec.json.Encoder().encode


def _canonical(data: bytes) -> object:
    """Return the value of a document written as msgspec would write it, `_UNREAD` for any other."""
    if len(data.translate(None, _NOT_DIGITS)) > _FEW_DIGITS and _DOUBTFUL.search(data):
        return _UNREAD
    try:
        value = _READ(data)
        if _WRITE(value) == data:
            return value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return _UNREAD


def _depth(data: bytes) -> int:
    outside_strings = b"".join(_ESCAPE.sub(b"", data).split(b'"')[::2])
    steps = outside_strings.translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


# The errors of the standard library carry the whole input. They are left behind before ours is raised, so that ours
# does not carry them as its context.


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    msg = "not UTF-8"
    raise StrictJSONError(msg)


def _parse(text: str) -> JSONValue:
    try:
        return cast("JSONValue", _DECODER.decode(text))
    except json.JSONDecodeError:
        pass
    msg = "not JSON"
    raise StrictJSONError(msg)


def _refuse_lone_surrogates(value: JSONValue) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
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


def _constant(_literal: str) -> NoReturn:
    msg = "not a JSON number"
    raise StrictJSONError(msg)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)

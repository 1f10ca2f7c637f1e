"""Objects of a JSON document, opened one level at a time, their members left as the bytes they were.

Rules of this module:

* What is judged is what is read. A client may keep the first of two equal keys, the last, or match keys without
  regard to case, as some readers in Go do. So in an object that is opened a key that occurs twice is refused, and so
  is one that contains U+0000 or only folds to a key judged there, and one whose value a reader in JavaScript that copies
  the object takes for more members of it.
* Equal keys are found so: members are decoded into a dict, which keeps one of two. Without white space and escapes it
  would have at most the length that it has; if it has that very length, nothing was dropped. Compact JSON, the common
  case, ends here. Otherwise the object is decoded again under keys that never equal one another, and the two counts must
  agree. For a list of objects the first test is made at once: encoded back it must be the very bytes.
"""

from collections.abc import Collection, Mapping

from msgspec import Raw
from msgspec.json import Decoder, Encoder

from authz.core.wire.confusables import misleads


class UnfitError(Exception):
    """The document must be refused; its text is fixed and holds nothing of it."""


class _Key(str):
    """A key that equals no other, so that a decoder keeps all of them."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


_MEMBERS = Decoder(dict[str, Raw]).decode
_ALL_MEMBERS = Decoder(dict[_Key, Raw], dec_hook=lambda _type, key: _Key(key)).decode
_EACH = Decoder(list[dict[str, Raw]]).decode
_ITEMS = Decoder(list[Raw]).decode
_STRING = Decoder(str).decode
_ENCODE = Encoder().encode


def open_object(raw: bytes | Raw, known: frozenset[str]) -> dict[str, Raw]:
    """Open an object in which the known keys are judged.

    Raises:
        UnfitError: a key occurs twice, or imitates a known one.
        msgspec.DecodeError: it is no object.
    """
    members = open_members(raw)
    refuse_imitations(members, known)
    return members


def open_members(raw: bytes | Raw) -> dict[str, Raw]:
    """Open an object whose keys the caller looks at by itself.

    Raises:
        UnfitError: a key occurs twice.
        msgspec.DecodeError: it is no object.
    """
    members, distinct = read_members(raw)
    if not distinct:
        refuse_equal_keys(raw, members)
    return members


def read_members(raw: bytes | Raw) -> tuple[dict[str, Raw], bool]:
    """Return the members of an object, and whether it is certain that no key occurs twice.

    Raises:
        msgspec.DecodeError: it is no object.
    """
    members = _MEMBERS(raw)
    return members, _length(members) == _size(raw)


def refuse_equal_keys(raw: bytes | Raw, members: Mapping[str, Raw]) -> None:
    """Look for equal keys where the first look left it open.

    Raises:
        UnfitError: a key occurs twice.
    """
    if len(_ALL_MEMBERS(raw)) != len(members):
        msg = "a key occurs twice in one object"
        raise UnfitError(msg)


Written = Raw | dict[str, Raw]
"""An object that is encoded as it was written: its bytes, or its members where they say it all."""


def open_each(raw: Raw) -> list[tuple[Written, dict[str, Raw]]]:
    """Open every object of a list, as `open_members` would each.

    Returns:
        For each, the object as it was written, and its members.

    Raises:
        UnfitError: a key occurs twice in one of them.
        msgspec.DecodeError: it is no list, or holds what is no object.
    """
    opened = _EACH(raw)
    if _ENCODE(opened) == bytes(raw):
        return list(zip(opened, opened, strict=True))
    return [(item, open_members(item)) for item in _ITEMS(raw)]


def open_items(raw: Raw) -> list[Raw]:
    """Open a list and leave its items as they are.

    Raises:
        msgspec.DecodeError: it is no list.
    """
    return list(_ITEMS(raw))


_BRACES, _AROUND = len("{}") - len(","), len('"":,')


def _length(members: Mapping[str, Raw]) -> int:
    """Return the bytes of an object without white space whose keys need no escapes, the least that it can have."""
    if not members:
        return len("{}")
    keys = "".join(members)
    size = len(keys) if keys.isascii() else len(keys.encode())
    return size + sum(map(_size, members.values())) + _AROUND * len(members) + _BRACES


def _size(raw: Raw | bytes) -> int:
    return memoryview(raw).nbytes


def refuse_imitations(keys: Collection[str], known: frozenset[str]) -> None:
    """Look for keys that imitate a known one, or that can stand for one in JavaScript.

    Raises:
        UnfitError: there is one.
    """
    if misleads(keys, known):
        msg = "a key imitates one that is judged"
        raise UnfitError(msg)


def name_at(members: Mapping[str, Raw], key: str) -> str:
    """Return the string at a key.

    Raises:
        UnfitError: there is none.
        msgspec.DecodeError: it is no string.
    """
    if key not in members:
        msg = "what should be judged has no name"
        raise UnfitError(msg)
    return text(members[key])


def text(raw: Raw) -> str:
    """Return the string that a member is.

    Raises:
        msgspec.DecodeError: it is no string.
    """
    return str(_STRING(raw))


def closed(members: Mapping[str, Raw]) -> Raw:
    """Write an object again, each member as it was."""
    return Raw(_ENCODE(members))

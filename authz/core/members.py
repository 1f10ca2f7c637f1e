"""Objects of a JSON document, opened one level at a time, their members left as the bytes they were.

Rules of this module:

* What is judged is what is read. A client may keep the first of two equal keys, the last, or match keys without
  regard to case, as some readers in Go do. So in an object that is opened a key that occurs twice is refused, and so
  is one that contains U+0000 or only folds to a key judged there.
* Equal keys are found so: members are decoded into a dict, which keeps one of two, and encoded back. If that gives
  the very bytes, nothing was dropped; compact JSON, the common case, ends here. Otherwise the object is decoded again
  under keys that never equal one another, and the two counts must agree.
"""

from collections.abc import Collection, Mapping

from msgspec import Raw
from msgspec.json import Decoder, Encoder

from authz.core.lookalike import imitates


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
    members = _MEMBERS(raw)
    if _ENCODE(members) != bytes(raw) and len(_ALL_MEMBERS(raw)) != len(members):
        msg = "a key occurs twice in one object"
        raise UnfitError(msg)
    return members


def refuse_imitations(keys: Collection[str], known: frozenset[str]) -> None:
    """Look for keys that imitate a known one.

    Raises:
        UnfitError: there is one.
    """
    if imitates(keys, known):
        msg = "a key imitates one that is judged"
        raise UnfitError(msg)


def name_at(members: Mapping[str, Raw], key: str) -> str:
    """Give the string at a key.

    Raises:
        UnfitError: there is none.
        msgspec.DecodeError: it is no string.
    """
    if key not in members:
        msg = "what should be judged has no name"
        raise UnfitError(msg)
    return text(members[key])


def text(raw: Raw) -> str:
    """Give the string that a member is.

    Raises:
        msgspec.DecodeError: it is no string.
    """
    return str(_STRING(raw))


def closed(members: Mapping[str, Raw]) -> Raw:
    """Write an object again, each member as it was."""
    return Raw(_ENCODE(members))

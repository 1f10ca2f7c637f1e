"""Keys that another parser could take for a known key.

Go's encoding/json matches keys whatever their case, with Unicode's simple folding (U+017F is an "s", U+212A a "k"),
and some parsers end a key at U+0000. A body in which such a key stands means one thing here and another upstream,
so it is refused.
"""

import unicodedata
from collections.abc import Collection
from functools import lru_cache


def fold(key: str) -> str:
    """Return the form under which two keys are one to a parser that ignores case or compatibility forms."""
    if key.isascii():
        return key.lower()
    return unicodedata.normalize("NFKC", key).casefold().translate(_TURKISH)


_TURKISH = {0x131: "i", 0x307: None}
"""Dotless i, and the dot above that folding leaves of a dotted capital I: Java's equalsIgnoreCase takes both for i."""


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    return frozenset(map(fold, known))


_MAX_FOREIGN = 128
"""Length from which a key beyond ASCII is suspect without a look: normalising takes time in the square of its marks."""


def _is_suspect(key: str) -> bool:
    return "\0" in key or (len(key) > _MAX_FOREIGN and not key.isascii())


def imitates(keys: Collection[str], known: frozenset[str]) -> bool:
    """Return whether a key looks like a known one without being it, holds U+0000, or is too long to tell."""
    if known.issuperset(keys):
        return False
    folded = _folded(known)
    return any(_is_suspect(key) or fold(key) in folded for key in keys if key not in known)


def collide(keys: Collection[str]) -> bool:
    """Return whether two of an object's keys are one to a parser that folds case, or one holds U+0000 or is too long to tell."""
    listed = list(keys)
    joined = "".join(listed)
    if joined.isascii() and joined == joined.lower() and "\0" not in joined:
        return False  # already folded, and the keys of an object differ
    return any(map(_is_suspect, listed)) or len(set(map(fold, listed))) != len(listed)

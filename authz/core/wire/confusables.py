"""Keys that another parser could take for a known key.

Go's encoding/json matches keys whatever their case, with Unicode's simple folding (U+017F is an "s", U+212A a "k"),
and some parsers end a key at U+0000. A body in which such a key stands means one thing here and another upstream,
so it is refused where a key is read, and only there.

`__proto__`, `constructor` and `prototype` look like no other key, but to JavaScript they can stand for an object's other
members: merged into another object, `{"__proto__": {"path": "/b"}}` has a path.

Looking costs: one code point can become eighteen, and normalising sorts marks. So keys in ASCII are compared all at
once, and each request has a `Budget` of characters to be normalised, spent before they are.
"""

import unicodedata
from collections.abc import Collection
from functools import lru_cache

import msgspec


class OverBudgetError(Exception):
    """A request holds more than its limits let anyone look at."""


class Budget(msgspec.Struct, eq=False):
    """What may still be spent on looking at one request.

    Attributes:
        nodes: values to be walked.
        characters: characters of keys beyond ASCII to be normalised.
        folded: what was normalised already; the same key costs once.
    """

    nodes: int
    characters: int
    folded: dict[str, str] = {}

    def visit(self, values: int) -> None:
        """Pay for a walk over some values.

        Raises:
            OverBudgetError: there are more than may still be walked.
        """
        if values > self.nodes:
            raise OverBudgetError
        self.nodes -= values

    def fold(self, key: str) -> str:
        """Return the folded form of a key, paid for.

        Raises:
            OverBudgetError: the key is longer than what may still be normalised.
        """
        known = self.folded.get(key)
        if known is None:
            if len(key) > self.characters:
                raise OverBudgetError
            self.characters -= len(key)
            known = self.folded[key] = fold(key)
        return known


def fold(key: str) -> str:
    """Return the form under which two keys are one to a parser that ignores case or compatibility forms."""
    if key.isascii():
        return key.lower()
    # Java's equalsIgnoreCase takes for i the dotless i, and what folding leaves of a dotted capital I beside its dot.
    return unicodedata.normalize("NFKC", key).casefold().replace("\u0131", "i").replace("\u0307", "")


@lru_cache(maxsize=64)
def _folded(known: frozenset[str]) -> frozenset[str]:
    return frozenset(map(fold, known))


_MAX_FOREIGN = 128
"""Length from which a key beyond ASCII is suspect without a look: normalising takes time in the square of its marks."""


def _has_suspect(keys: list[str]) -> bool:
    return max(map(len, keys)) > _MAX_FOREIGN and any(
        len(key) > _MAX_FOREIGN and not key.isascii() for key in keys
    )


def imitates(keys: Collection[str], known: frozenset[str], budget: Budget | None = None) -> bool:
    """Return whether a key looks like a known one without being it, holds U+0000, or is too long to tell.

    Args:
        keys: an object's keys.
        known: the keys that are read.
        budget: pays for keys beyond ASCII; None where their number is bounded already.

    Raises:
        OverBudgetError: there is more to normalise than the budget pays for.
    """
    if known.issuperset(keys):
        return False
    others = [key for key in keys if key not in known]
    folded = _fold_each(others, budget)
    return folded is None or not _folded(known).isdisjoint(folded)


def collide(keys: Collection[str], budget: Budget | None = None) -> bool:
    """Return whether two of an object's keys are one to a parser that folds case, or one holds U+0000 or is too long to tell.

    Raises:
        OverBudgetError: there is more to normalise than the budget pays for.
    """
    folded = _fold_each(list(keys), budget)
    return folded is None or len(set(folded)) != len(folded)


def _fold_each(keys: list[str], budget: Budget | None) -> list[str] | None:
    """Return the folded keys; None if one holds U+0000 or is too long to tell."""
    joined = "\0".join(keys)
    if joined.count("\0") != max(len(keys) - 1, 0):
        return None
    if joined.isascii():
        return joined.lower().split("\0") if keys else []
    if _has_suspect(keys):
        return None
    each = fold if budget is None else budget.fold
    return [key.lower() if key.isascii() else each(key) for key in keys]


PROTOTYPE_NAMES = frozenset({"__proto__", "constructor", "prototype"})


def misleads(keys: Collection[str], known: frozenset[str], budget: Budget | None = None) -> bool:
    """Return whether a key imitates a known one, or can stand for one in JavaScript; `known` must not hold such a key.

    Raises:
        OverBudgetError: there is more to normalise than the budget pays for.
    """
    if known.issuperset(keys):
        return False
    return not PROTOTYPE_NAMES.isdisjoint(keys) or imitates(keys, known, budget)

"""A check, what it finds, and the change that closes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import wraps
from typing import Any, Self, TypeVar

from authz.config.settings import Settings
from authz.doctor.inventory import Inventory
from authz.doctor.node import Node, Path


class Severity(StrEnum):
    """How bad a finding is.

    An error lets requests or lists through, or breaks the authorization; a warning weakens a second line of defence or
    costs availability; a hint informs and never changes the exit status.
    """

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Put:
    """Set the value at a path, and create the mappings that lead there."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the key or the element at a path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert an element into the list at a path before an index, or at the end of a shorter list."""

    path: Path
    index: int
    value: Any


@dataclass(frozen=True, slots=True)
class Move:
    """Move an element of the list at a path to an index, counted without the element."""

    path: Path
    source: int
    target: int


Edit = Put | Drop | Insert | Move


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a check fails.

    Attributes:
        node: the place.
        detail: what is there, and whose it is; empty where the check's own text says it all.
        edits: what closes it; empty where a person must decide.
    """

    node: Node
    detail: str = ""
    edits: tuple[Edit, ...] = ()

    @classmethod
    def put(cls, node: Node, value: Any, detail: str | None = None) -> Self:
        """Return a hit that another value closes; by default its detail is the present one."""
        return cls(node, node.shown() if detail is None else detail, (Put(node.path, value),))

    @classmethod
    def drop(cls, node: Node, detail: str = "") -> Self:
        """Return a hit that the removal of its place closes."""
        return cls(node, detail, (Drop(node.path),))


@dataclass(frozen=True, slots=True)
class CheckCase:
    """What a check examines.

    Attributes:
        inventory: what is in the file.
        settings: the policy's; None if no policy was given.
        repeated: paths of keys that appear twice.
        more: whether the file has documents that Envoy does not read.
        found: what several checks ask, by the function that finds it (`once`).
    """

    inventory: Inventory
    settings: Settings | None = None
    repeated: tuple[Path, ...] = ()
    more: bool = False
    found: dict[Callable[["CheckCase"], Any], Any] = field(default_factory=dict, repr=False, compare=False)


_Found = TypeVar("_Found")


def once(find: Callable[[CheckCase], _Found]) -> Callable[[CheckCase], _Found]:
    """Let a function look at a case only once, for every check that asks; what it returns must not be changed."""

    @wraps(find)
    def kept(case: CheckCase) -> _Found:
        if find not in case.found:
            case.found[find] = find(case)
        found: _Found = case.found[find]
        return found

    return kept


Find = Callable[[CheckCase], Iterator[Hit]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that can be wrong.

    Attributes:
        id: its name, which never changes.
        severity: how bad it is.
        what: what is wrong, a phrase.
        risk: what can happen.
        cure: the lines to paste, in YAML; a comment where a person must decide.
        find: yields every place where it is wrong.
    """

    id: str
    severity: Severity
    what: str
    risk: str
    cure: str
    find: Find


@dataclass(frozen=True, slots=True)
class Finding:
    """A check together with one of its hits."""

    check: Check
    hit: Hit

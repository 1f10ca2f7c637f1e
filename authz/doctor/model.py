"""A check, what it finds, and the change that closes it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.config.settings import Settings
from authz.doctor.inventory import Inventory
from authz.doctor.node import Node, Path


class Severity(StrEnum):
    """How bad it is.

    An error lets through, shows or breaks what the configuration is there for; a warning weakens a second line of
    defence or costs availability; a hint is for information and never changes the exit status.
    """

    ERROR = "error"
    WARNING = "warning"
    HINT = "hint"


@dataclass(frozen=True, slots=True)
class Put:
    """Set the value at a path, with the mappings that lead there."""

    path: Path
    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the key or the element at a path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Insert:
    """Put an element into the list at a path, in front of an index; behind the last one when there are fewer."""

    path: Path
    index: int
    value: Any


@dataclass(frozen=True, slots=True)
class Move:
    """Move an element of the list at a path to an index, counted without it."""

    path: Path
    source: int
    target: int


Edit = Put | Drop | Insert | Move


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a check objects to.

    Attributes:
        node: the place.
        detail: what stands there, and whose it is; empty where the check's own words say it all.
        edits: what closes it; empty where only a person can tell.
    """

    node: Node
    detail: str = ""
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckCase:
    """What a check looks at.

    Attributes:
        survey: what is in the file.
        settings: the policy's; None when no policy was given.
        repeated: paths of keys that stand twice.
        more: whether the file has documents that Envoy does not read.
    """

    survey: Inventory
    settings: Settings | None = None
    repeated: tuple[Path, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that can be wrong.

    Attributes:
        id: its name, kept for ever.
        severity: how bad it is.
        what: what is wrong, a phrase.
        risk: what can happen, one sentence.
        cure: the lines to paste, in YAML; a comment where a person must decide.
        find: gives every place where it is wrong.
    """

    id: str
    severity: Severity
    what: str
    risk: str
    cure: str
    find: Callable[[CheckCase], Iterator[Hit]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A check together with one of its hits."""

    check: Check
    hit: Hit

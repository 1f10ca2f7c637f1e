"""What the filter of lists says about one message, and the words in which metrics count it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from authz.core.mcp.item import Kind


class Cause(StrEnum):
    """Why a response, or one message of it, was refused. The value is the word used in metrics."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_MANY_ITEMS = "too_many_items"
    NOT_JSON = "not_json"
    AMBIGUOUS = "ambiguous"
    UNKNOWN_READER = "unknown_reader"
    NO_ROOM = "no_room"
    CHANGED = "changed"
    CODING = "coding"
    REDIRECT = "redirect"
    CHALLENGE = "challenge"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many items of one list were kept and how many were cut."""

    kind: Kind
    kept: int
    trimmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A list result. `document` is the very object given when nothing had to change; one count for each list."""

    document: bytes
    counts: tuple[Count, ...]


@dataclass(frozen=True, slots=True)
class Untouched:
    """A JSON-RPC message that certainly holds no list; its own bytes may pass."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """A notification about something its reader may not see. It must not pass, and nobody waits for it."""


@dataclass(frozen=True, slots=True)
class ListRejected:
    """Bytes that must not pass. `why` is fixed text and holds nothing of them; `cause` is its word in metrics."""

    why: str
    cause: Cause


FilterResult: TypeAlias = Trimmed | Untouched | Withheld | ListRejected

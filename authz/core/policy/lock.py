"""The tool lock of one server: which items were approved, in which form, and what follows from it.

Rules of this module:

* A lock never allows. It is asked after the rules, about what they would allow, list or offer for a scope.
* What the lock does not name is refused, unless it says that unlisted items pass.
* An entry of a list is text that models read, so it has to be approved itself, in that list: a template approves what is
  read by it, and not what a list says of it.
* What was last seen changed is refused, for a call and in a list alike, until it is seen as it was approved, or the
  approval is renewed. `report` refuses nothing.
* Nothing is looked up on a call: what was seen is known from the lists that passed (see `Sightings`).
* A name that several lists approve (a skill and a resource) may have changed in none of them.
* A resource that is read by a template is approved with the template. Where templates overlap, none may have changed:
  which of them the server reads by is not known here.
* Sightings are about locked items only, so there are never more of them than the lock has items.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from authz.core.mcp.item import LIST_NAMES, Item, Kind, ListName, Template
from authz.core.policy.rule import Misfit, Pattern
from authz.core.reasons import Reason

ItemKey = tuple[ListName, str]
"""The list in which an item stands, and its name there."""


class OnChange(StrEnum):
    """What becomes of an item that is not as it was approved."""

    HIDE = "hide"
    REFUSE = "refuse"
    REPORT = "report"


class LockOutcome(StrEnum):
    """What comparing an item with the lock showed. The value is the word used in metrics."""

    EQUAL = "equal"
    CHANGED = "changed"
    UNLISTED = "unlisted"


class ArgumentSchema(Protocol):
    """A tool's locked input schema, compiled."""

    def misfit(self, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where arguments leave the schema, None if they fit."""


@dataclass(frozen=True, slots=True, eq=False)
class LockedArguments:
    """The locked input schemas, as a condition of a rule (a `LockedTest`); a tool without one fits none."""

    schemas: Mapping[str, ArgumentSchema]

    @property
    def text(self) -> str:
        """What it is called where a rule is explained."""
        return "the input schema in the lock"

    def misfit(self, item: Item, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where a call's arguments leave the schema of their tool, None if they fit."""
        schema = self.schemas.get(item.name) if item.kind is Kind.TOOL else None
        return Misfit("", "locked") if schema is None else schema.misfit(arguments)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lock:
    """What of a server was approved.

    Attributes:
        digest: names the content of the lock in the log: the first digits of its file's SHA-256.
        items: the approved digests of each item; several where the eras of the protocol differ.
        on_change: what becomes of an item that is not as approved.
        allow_unlisted: whether items that the lock does not name pass.
        keep_seconds: how long a change is remembered that no list has shown again.
        templates: the patterns of the URIs that the approved templates can make.
        arguments: the input schemas of the tools, if the arguments of every call must fit them; None if they need not.
    """

    digest: str
    items: Mapping[ItemKey, frozenset[str]]
    on_change: OnChange = OnChange.HIDE
    allow_unlisted: bool = False
    keep_seconds: float = 86_400.0
    templates: tuple[tuple[Pattern, ItemKey], ...] = ()
    arguments: LockedArguments | None = None

    def compare(self, key: ItemKey, digest: str | None) -> LockOutcome:
        """Compare an item of a list with the lock; None stands for an item that has no digest."""
        approved = self.items.get(key)
        if approved is None:
            return LockOutcome.UNLISTED
        return LockOutcome.EQUAL if digest in approved else LockOutcome.CHANGED

    def lists(self, outcome: LockOutcome) -> bool:
        """Return whether an entry of a list may pass, by what comparing it showed."""
        if outcome is LockOutcome.UNLISTED:
            return self.allow_unlisted
        return outcome is LockOutcome.EQUAL or self.on_change is OnChange.REPORT

    def refusal(self, item: Item, changed: Callable[[ItemKey], bool]) -> Reason | None:
        """Return why an item may be neither used nor listed; None if the lock has nothing against it.

        Args:
            item: the item.
            changed: whether a locked item was last seen in another form than it was approved in.
        """
        if item.kind is Kind.TASK:
            return None
        keys = self._keys(item)
        if not keys:
            return None if self.allow_unlisted else Reason.ITEM_NOT_LOCKED
        if self.on_change is OnChange.REPORT or not any(map(changed, keys)):
            return None
        return Reason.ITEM_CHANGED

    def _keys(self, item: Item) -> list[ItemKey]:
        """Return what the lock has about an item: the item itself, otherwise the templates that it can be read by.

        A template is not read by another one, whatever its text matches.
        """
        exact = self._exact_keys(item)
        if exact or item.kind is not Kind.RESOURCE or isinstance(item, Template):
            return exact
        return [key for pattern, key in self.templates if pattern.matches(item.name)]

    def names(self, item: Item) -> bool:
        """Return whether an item itself is locked, so that only its own changes count and no template's."""
        return bool(self._exact_keys(item))

    def _exact_keys(self, item: Item) -> list[ItemKey]:
        return [key for section in LIST_NAMES[item.kind] if (key := (section, item.name)) in self.items]

    def misfit(self, item: Item, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where a call's arguments leave the schema of its tool; None if they fit, or need not.

        A tool that passes unlisted has no schema, and so no arguments that fit.
        """
        if self.arguments is None or item.kind is not Kind.TOOL:
            return None
        return self.arguments.misfit(item, arguments)

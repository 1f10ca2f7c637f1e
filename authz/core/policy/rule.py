"""One rule: what it selects, its conditions, and its effect."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from authz.core.mcp.item import Item, Kind
from authz.core.policy.expression import Expression
from authz.core.wire.confusables import PROTOTYPE_NAMES, Budget, misleads
from authz.core.wire.strict_json import InexactNumber

# Declared types of a call's arguments, checked before any expression sees them.
#
# A rule that declares `filename: string` never meets a number there: an expression that compares, measures or searches
# an argument then means what it says, whatever a caller sends.

_OPTIONAL = "?"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "string": lambda value: isinstance(value, str),
        "int": _is_int,
        "number": _is_number,
        "bool": lambda value: isinstance(value, bool),
        "list": lambda value: isinstance(value, list),
        "map": lambda value: isinstance(value, dict),
        "any": lambda value: not isinstance(value, InexactNumber),
        "integer": _is_int,
        "boolean": lambda value: isinstance(value, bool),
        "array": lambda value: isinstance(value, list),
        "object": lambda value: isinstance(value, dict),
        "null": lambda value: value is None,
    },
)
"""Names of types, ours and JSON Schema's, to their tests; a boolean is no number, as in JSON and unlike Python, and an inexact number is nothing."""


class ValueTest(Protocol):
    """What is asked of a value beyond its type (`value_schema`)."""

    @property
    def optional(self) -> bool:
        """Whether the argument may be left out."""

    @property
    def reads_text(self) -> bool:
        """Whether a pattern is matched."""

    def fits(self, value: Any, budget: Budget | None) -> bool:
        """Return whether a value is as asked."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments that a rule declares.

    Attributes:
        types: argument to what is asked of its value: the name of a type, with `?` at the end if it may be left out, or
            a schema.
        extra: whether arguments that are not declared are accepted.
    """

    types: Mapping[str, str | ValueTest]
    extra: bool = True

    @property
    def reads_text(self) -> bool:
        """Whether a pattern is matched, somewhere."""
        return any(not isinstance(each, str) and each.reads_text for each in self.types.values())

    def __post_init__(self) -> None:
        """Refuse unknown types.

        Raises:
            ValueError: a type has no test.
        """
        for type_ in self.types.values():
            if isinstance(type_, str) and type_.removesuffix(_OPTIONAL) not in TYPES:
                msg = f"unknown type {type_}; known: {', '.join(TYPES)}, each with ? when it may be left out"
                raise ValueError(msg)

    def fit(self, arguments: Mapping[str, Any], budget: Budget | None = None) -> bool:
        """Return whether a call's arguments are of the declared types, and none could be taken for a declared one.

        Raises:
            OverBudgetError: there is more to look at than the budget pays for.
        """
        if misleads(arguments, frozenset(self.types) - PROTOTYPE_NAMES, budget):
            return False
        if not self.extra and arguments.keys() - self.types.keys():
            return False
        return all(
            _is_optional(type_) if name not in arguments else _fits(type_, arguments[name], budget)
            for name, type_ in self.types.items()
        )


def _is_optional(type_: str | ValueTest) -> bool:
    return type_.endswith(_OPTIONAL) if isinstance(type_, str) else type_.optional


def _fits(type_: str | ValueTest, value: Any, budget: Budget | None) -> bool:
    if isinstance(type_, str):
        return TYPES[type_.removesuffix(_OPTIONAL)](value)
    return type_.fits(value, budget)


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups that a rule names, one of which is needed.

    Attributes:
        names: as the operator wrote them.
        exact: names that are compared whole.
        below: texts, each with its final slash, that begin the path of a group below one that was written with `/*`.
    """

    names: tuple[str, ...]
    exact: frozenset[str]
    below: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> "Groups":
        """Build the groups from names as an operator writes them.

        Raises:
            ValueError: a star stands elsewhere than after the last slash.
        """
        listed = tuple(names)
        below = tuple(name[:-1] for name in listed if name.endswith("/*"))
        exact = frozenset(name for name in listed if not name.endswith("/*"))
        if any("*" in name for name in (*below, *exact)):
            msg = "a group is compared whole, or by the path above it with /* at its end: /platform/*"
            raise ValueError(msg)
        return cls(listed, exact, below)

    def hold(self, held: frozenset[str]) -> bool:
        """Return whether a caller in the groups `held` is in one of these."""
        return not self.exact.isdisjoint(held) or any(name.startswith(self.below) for name in held)


@dataclass(frozen=True, slots=True)
class Misfit:
    """Where a call's arguments leave the locked schema; it holds names of the schema, and nothing of the call.

    Attributes:
        place: the argument, as a JSON pointer (RFC 6901) in which `*` stands for any item or name.
        keyword: the keyword of the schema that does not hold.
    """

    place: str
    keyword: str

    def __str__(self) -> str:
        return f"{self.place or 'the arguments'}: {self.keyword}"


class LockedTest(Protocol):
    """The locked input schemas of the tools that a rule is about (`lock.LockedArguments`)."""

    @property
    def text(self) -> str:
        """What it is called where a rule is explained."""

    def misfit(self, item: Item, arguments: Mapping[str, Any]) -> Misfit | None:
        """Return where a call's arguments leave the schema of their tool, None if they fit."""


class Effect(StrEnum):
    """What a rule does where its conditions hold; `REQUIRE` denies where they do not (agentgateway's word)."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE = "require"


class DenialStyle(StrEnum):
    """How a policy denial reaches the client; `AUTO` chooses by method, protocol version and client."""

    AUTO = "auto"
    RESULT = "result"
    JSONRPC = "jsonrpc"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name in which `*` stands for any run of characters; matched in time linear in the name.

    Attributes:
        parts: the literal text between the stars, so at least two.
    """

    parts: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Return whether the whole name fits."""
        head, *middle, tail = self.parts
        if len(name) < len(head) + len(tail) or not (name.startswith(head) and name.endswith(tail)):
            return False
        at, end = len(head), len(name) - len(tail)
        for part in middle:
            found = name.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


@dataclass(frozen=True, slots=True)
class Selector:
    """The names of each kind that a rule selects; exact names are kept apart, for the index.

    Attributes:
        exact: kind to names without `*`.
        patterns: kind to names with `*`.
    """

    exact: Mapping[Kind, frozenset[str]]
    patterns: Mapping[Kind, tuple[Pattern, ...]]

    @classmethod
    def of(cls, names: Mapping[Kind, tuple[str, ...]]) -> "Selector":
        """Build a selector from names as an operator writes them."""
        exact = {
            kind: frozenset(name for name in listed if "*" not in name) for kind, listed in names.items()
        }
        patterns = {
            kind: tuple(Pattern(tuple(name.split("*"))) for name in listed if "*" in name)
            for kind, listed in names.items()
        }
        return cls(exact, patterns)

    @classmethod
    def everything(cls) -> "Selector":
        """Select every item of every kind."""
        return cls.of(dict.fromkeys(Kind, ("*",)))

    def selects(self, item: Item) -> bool:
        """Return whether the rule is about this item."""
        if item.name in self.exact.get(item.kind, ()):
            return True
        return any(pattern.matches(item.name) for pattern in self.patterns.get(item.kind, ()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """One rule. All conditions that are given must hold.

    Attributes:
        name: unique within its server; what records and metrics call it.
        effect: allow, deny or require.
        selector: the items it is about.
        scopes: every one is needed.
        any_scopes: one of them is needed, when there are any.
        roles: one of them is needed, when there are any.
        groups: one of them is needed, if there are any.
        issuers: names of issuers, one of which issued the caller's token, when there are any.
        when: a condition that does not read arguments.
        args: a condition that may; without a value for an item of a list.
        arguments: declared types of the call's arguments, checked before `args`.
        locked: the locked schemas that the call's arguments must fit, checked before `args`.
        shadow: evaluated and reported, never applied.
        denial: overrides the server's style for denials by this rule.
        hide: overrides whether a denial by this rule looks like an unknown name.
    """

    name: str
    effect: Effect
    selector: Selector
    scopes: frozenset[str] = frozenset()
    any_scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    groups: Groups | None = None
    issuers: frozenset[str] = frozenset()
    when: Expression | None = field(default=None)
    args: Expression | None = field(default=None)
    arguments: Arguments | None = None
    locked: LockedTest | None = None
    shadow: bool = False
    denial: DenialStyle | None = None
    hide: bool | None = None

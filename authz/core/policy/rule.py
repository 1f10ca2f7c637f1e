"""One rule: what it selects, what it asks, and what follows when that holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from authz.core.mcp.item import Item, Kind
from authz.core.policy.arguments import Arguments
from authz.core.policy.expression import Expression


class Effect(StrEnum):
    """What a rule does where its conditions hold; `REQUIRE` denies where they do not (agentgateway's word)."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE = "require"


class Denial(StrEnum):
    """How a policy denial reaches the client; `AUTO` chooses by protocol version."""

    AUTO = "auto"
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
        """Tell whether the whole name fits."""
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
    """The names of each kind that a rule selects; exact names stand apart, for the index.

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
        """Tell whether the rule is about this item."""
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
        when: a condition that does not read arguments.
        args: a condition that may; without a value for an item of a list.
        arguments: declared types of the call's arguments, checked before `args`.
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
    when: Expression | None = field(default=None)
    args: Expression | None = field(default=None)
    arguments: Arguments | None = None
    shadow: bool = False
    denial: Denial | None = None
    hide: bool | None = None

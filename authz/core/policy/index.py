"""Which rules can be about a name, found by hash: what it costs does not grow with the rules that cannot.

Rules of this module:

* A rule stands in the index once for each name and pattern it has. Exact names are looked up as they are.
* A pattern is looked up by the text before its first star and the text after its last, either of which may be empty.
  So a name is cut once for each pair of lengths that these texts have, and only patterns whose texts it has are tried.
* A pattern that begins and ends with a star is thus tried for every name of its kind.
* What is found is grouped as it is judged, once for all names that the same rules are about.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from authz.core.mcp import uri
from authz.core.mcp.item import Item, Kind
from authz.core.policy.condition import ALLOW_ORDER, DENY_ORDER, Condition, conditions
from authz.core.policy.expression import CALLER_NAMES
from authz.core.policy.rule import Effect, Pattern, Rule, Selector

_Ends = tuple[str, str]
"""The texts before the first star and after the last."""


@dataclass(slots=True)
class _Names:
    """What rules select of one kind: exact names, and patterns by the lengths of their ends, then by the ends."""

    exact: dict[str, list[Rule]] = field(default_factory=dict)
    patterns: dict[tuple[int, int], dict[_Ends, list[tuple[Pattern, Rule]]]] = field(default_factory=dict)

    def put(self, pattern: Pattern, rule: Rule) -> None:
        head, tail = pattern.parts[0], pattern.parts[-1]
        alike = self.patterns.setdefault((len(head), len(tail)), {})
        alike.setdefault((head, tail), []).append((pattern, rule))

    def patterned(self, name: str) -> Iterable[tuple[Pattern, Rule]]:
        for (head, tail), alike in self.patterns.items():
            if head + tail <= len(name):
                yield from alike.get((name[:head], name[len(name) - tail :]), ())


class Index:
    """The rules of a policy by the names they select."""

    def __init__(
        self, rules: Iterable[Rule], selector: Callable[[Rule], Selector] = lambda rule: rule.selector
    ) -> None:
        """Index the rules.

        Args:
            rules: the rules.
            selector: returns what a rule selects, if it is not the names of the rule itself.
        """
        self._kinds = {kind: _Names() for kind in Kind}
        self._places: dict[int, int] = {}
        for place, rule in enumerate(rules):
            self._places[id(rule)] = place
            selected = selector(rule)
            for kind, names in selected.exact.items():
                for name in names:
                    self._kinds[kind].exact.setdefault(name, []).append(rule)
            for kind, patterns in selected.patterns.items():
                for pattern in patterns:
                    self._kinds[kind].put(pattern, rule)

    def about(self, item: Item) -> tuple[Rule, ...]:
        """Return every rule that selects an item, each once, in the order of the file.

        Of several rules that decide alike, records name the first, and a shadow rule must not change which that is.
        """
        names = self._kinds[item.kind]
        found = {id(rule): rule for rule in names.exact.get(item.name, ())}
        for pattern, rule in names.patterned(item.name):
            if pattern.matches(item.name):
                found[id(rule)] = rule
        return tuple(sorted(found.values(), key=lambda rule: self._places[id(rule)]))


# Whether a resource's URI could be taken for one that other rules are about. Names and patterns of the rules are folded as
# URIs are (see `mcp.uri`), so an ordinary URI meets in its reading the rules that it meets as it is. Where it meets
# another one, the server may serve what that other rule guards.


def folded(selector: Selector) -> Selector:
    """Return what a selector selects among the readings of URIs."""
    exact = selector.exact.get(Kind.RESOURCE, ())
    patterns = ("*".join(pattern.parts) for pattern in selector.patterns.get(Kind.RESOURCE, ()))
    return Selector(
        {Kind.RESOURCE: frozenset(uri.pattern_reading(name)[0] for name in exact)},
        {Kind.RESOURCE: tuple(Pattern(uri.pattern_reading(text)) for text in patterns)},
    )


class Readings:
    """The applied rules of a policy by the readings that they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Index the rules; a shadow rule changes no decision."""
        self._index = Index(
            (rule for rule in rules if not rule.shadow), selector=lambda rule: folded(rule.selector)
        )

    def is_ambiguous(self, name: str, rules: Iterable[Rule]) -> bool:
        """Return whether a URI has a flaw by itself, or could be one that other rules are about.

        Args:
            name: the URI.
            rules: the rules that select it as it is.
        """
        reading = uri.remembered_reading(name)
        if reading is None:
            return True
        own = {id(rule) for rule in rules if not rule.shadow}
        return own != {id(rule) for rule in self._about(reading)} or any(
            rule.effect is not Effect.ALLOW and id(rule) not in own
            for bare in uri.bare(reading) - {reading}
            for rule in self._about(bare)
        )

    def _about(self, reading: str) -> tuple[Rule, ...]:
        return self._index.about(Item(Kind.RESOURCE, reading))


OrderedConditions = tuple[Rule, tuple[Condition, ...]]
"""A rule with the conditions it has, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The rules that can be about one name, by effect. Names that the same rules are about share one.

    Attributes:
        denies: rules that deny.
        requires: rules that must hold.
        allows: rules that allow.
        with_shadows: the same and the shadow rules, None if there are none.
        cacheable_by_caller: whether the verdict depends on the caller alone, so that it is the same for all names.
        cacheable_by_item: whether it depends on the caller, the item and the method alone.
        ambiguous: whether the name is a URI that could be taken for one that other rules are about.
    """

    denies: tuple[OrderedConditions, ...]
    requires: tuple[OrderedConditions, ...]
    allows: tuple[OrderedConditions, ...]
    with_shadows: "Candidates | None" = None
    cacheable_by_caller: bool = False
    cacheable_by_item: bool = False
    ambiguous: bool = False


def _group_by_effect(rules: Iterable[Rule]) -> Candidates:
    """Group rules by effect, each with its conditions in the order in which they are tried."""
    grouped: dict[Effect, list[OrderedConditions]] = {effect: [] for effect in Effect}
    for rule in rules:
        order = DENY_ORDER if rule.effect is Effect.DENY else ALLOW_ORDER
        grouped[rule.effect].append((rule, conditions(rule, order)))
    denies, requires, allows = (
        tuple(grouped[effect]) for effect in (Effect.DENY, Effect.REQUIRE, Effect.ALLOW)
    )
    return Candidates(denies, requires, allows)


def group(rules: tuple[Rule, ...], *, ambiguous: bool) -> Candidates:
    """Return rules as they are judged; `ambiguous` is what `Readings` says of the name that they are about."""
    applied = [rule for rule in rules if not rule.shadow]
    return replace(
        _group_by_effect(applied),
        ambiguous=ambiguous,
        with_shadows=replace(_group_by_effect(rules), ambiguous=ambiguous)
        if len(applied) < len(rules)
        else None,
        cacheable_by_caller=all(_reads_only(CALLER_NAMES, rule) for rule in rules),
        cacheable_by_item=all(_reads_only(_ITEM_NAMES, rule) for rule in rules),
    )


_ITEM_NAMES = CALLER_NAMES | {"mcp", "tool"}


def _reads_only(names: frozenset[str], rule: Rule) -> bool:
    """Return whether a rule reads no arguments, and its `when` reads nothing but these names."""
    on_call = rule.args is not None or rule.arguments is not None or rule.locked is not None
    return not on_call and (rule.when is None or rule.when.reads <= names)

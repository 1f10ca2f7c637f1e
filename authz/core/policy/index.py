"""Which rules can be about a name, found by hash: what it costs does not grow with the rules that cannot.

Rules of this module:

* A rule stands in the index once for each name and pattern it has. Exact names are looked up as they are.
* A pattern is looked up by the text before its first star and the text after its last, either of which may be empty.
  So a name is cut once for each pair of lengths that these texts have, and only patterns whose texts it has are tried.
* A pattern that begins and ends with a star is thus tried for every name of its kind.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from authz.core.mcp import uri
from authz.core.mcp.item import Item, Kind
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

"""Which rules can be about a name, found by hash: what it costs does not grow with the rules that cannot.

Rules of this module:

* A rule stands in the index once for each name and pattern it has. Exact names are looked up as they are.
* A pattern is looked up by the text before its first star; where that is empty, by the text after its last. So a name
  is cut once for each length that such a text has, and only patterns whose text it has are tried.
* A pattern that begins and ends with a star is tried for every name of its kind, because nothing else would find it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from authz.core.item import Item, Kind
from authz.core.rule import Pattern, Rule

_Places = dict[int, dict[str, list[tuple[Pattern, Rule]]]]
"""Patterns with their rules, by the length of a literal text and the text."""


@dataclass(slots=True)
class _Names:
    """What rules select of one kind."""

    exact: dict[str, list[Rule]] = field(default_factory=dict)
    heads: _Places = field(default_factory=dict)
    tails: _Places = field(default_factory=dict)
    anywhere: list[tuple[Pattern, Rule]] = field(default_factory=list)

    def put(self, pattern: Pattern, rule: Rule) -> None:
        head, tail = pattern.parts[0], pattern.parts[-1]
        if not (head or tail):
            self.anywhere.append((pattern, rule))
            return
        places, text = (self.heads, head) if head else (self.tails, tail)
        places.setdefault(len(text), {}).setdefault(text, []).append((pattern, rule))

    def patterned(self, name: str) -> Iterable[tuple[Pattern, Rule]]:
        yield from self.anywhere
        for length, texts in self.heads.items():
            yield from texts.get(name[:length], ())
        for length, texts in self.tails.items():
            yield from texts.get(name[-length:], ())


class Index:
    """The rules of a policy by the names they select."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Index the rules."""
        self._kinds = {kind: _Names() for kind in Kind}
        for rule in rules:
            for kind, names in rule.selector.exact.items():
                for name in names:
                    self._kinds[kind].exact.setdefault(name, []).append(rule)
            for kind, patterns in rule.selector.patterns.items():
                for pattern in patterns:
                    self._kinds[kind].put(pattern, rule)

    def about(self, item: Item) -> tuple[Rule, ...]:
        """Give every rule that selects an item, each once."""
        names = self._kinds[item.kind]
        found = {id(rule): rule for rule in names.exact.get(item.name, ())}
        for pattern, rule in names.patterned(item.name):
            if pattern.matches(item.name):
                found[id(rule)] = rule
        return tuple(found.values())

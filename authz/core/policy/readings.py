"""Whether a resource's URI could be taken for one that other rules are about.

Names and patterns of the rules are folded as URIs are (see `authz/core/mcp/uri.py`), so an ordinary URI meets in its
reading the rules that it meets as it is. Where it meets another one, the server may serve what that other rule guards.
"""

from collections.abc import Iterable

from authz.core.mcp import uri
from authz.core.mcp.item import Item, Kind
from authz.core.policy.index import Index
from authz.core.policy.rule import Effect, Pattern, Rule, Selector


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
        reading = uri.reading(name)
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

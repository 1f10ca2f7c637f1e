"""What the rules say about a URI template: it may be used if one of its expansions may be read.

Rules of this module:

* A template is judged by examples: expansions that the patterns of an allow meet and no deny does, as far as there are
  some. Each is judged as if it were read, so a template is never listed unless something behind it is readable.
* Denies whose conditions do not hold for the caller deny nothing. So where an example that avoids every deny is not to be
  had, further ones avoid those denies that did deny, one more each time.
* A rule may also name a template itself. An allow that does opens it, a deny that names it in full closes it.
* A template that cannot be read is in no list. Nor is one that costs too much to look into.
"""

from collections.abc import Callable, Iterable, Iterator

from authz.core.mcp.item import Item, Kind
from authz.core.mcp.uri_template import TemplateParts, parse
from authz.core.policy.expansions import Glob, Steps, example
from authz.core.policy.policy import Verdict
from authz.core.policy.rule import Effect, Rule
from authz.core.reasons import Reason
from authz.core.wire.bounded_cache import BoundedCache

_STEPS = 5000
"""Steps that one template may cost, in each of the two searches."""
_MAX_CHARS = 1024
"""Longest template that is looked into."""
_ROUNDS = 8
"""Most examples for one pattern that denies made useless."""
_CACHED = 4096

Judge = Callable[[Item], Verdict]


class Templates:
    """The applied rules of a policy about resources, as the sets of URIs that they are about."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Read the patterns; a shadow rule changes no decision."""
        applied = [rule for rule in rules if not rule.shadow]
        allowing = _distinct(_globs(rule for rule in applied if rule.effect is Effect.ALLOW))
        self._goals = allowing or (Glob(("", "")),)  # of a list of denies, anything may be allowed
        self._denies = tuple(_globs(rule for rule in applied if rule.effect is Effect.DENY))
        self._found: BoundedCache[str, tuple[str, ...]] = BoundedCache(_CACHED)

    def judge(self, text: str, judge: Judge) -> tuple[Verdict, Item]:
        """Return the verdict on a template, and the item that it is about: an example, or the template itself.

        Args:
            text: the template.
            judge: judges a resource that would be read.
        """
        itself = Item(Kind.RESOURCE, text)
        named = judge(itself)
        if named.reason is Reason.ALLOWED or _names(named.rule, text):
            return named, itself
        seen = [(named, itself)]
        for expansion in self._examples(text, judge):
            item = Item(Kind.RESOURCE, expansion)
            verdict = judge(item)
            if verdict.reason is Reason.ALLOWED:
                return verdict, item
            seen.append((verdict, item))
        return min(seen, key=lambda each: _CLOSENESS.get(each[0].reason, len(_CLOSENESS)))

    def _examples(self, text: str, judge: Judge) -> Iterator[str]:
        template = parse(text) if len(text) <= _MAX_CHARS else None
        if template is None:
            return
        yield from self._avoiding_all(text, template)
        steps = Steps(_STEPS)
        for goal in self._goals:
            if goal.may_meet(template):
                yield from self._avoiding_what_denied(template, goal, judge, steps)

    def _avoiding_all(self, text: str, template: TemplateParts) -> tuple[str, ...]:
        """Return an example for each pattern of an allow that no deny meets; the same for every caller."""
        found = self._found.get(text)
        if found is None:
            steps = Steps(_STEPS)
            denies = _distinct(each for each in self._denies if each[1].may_meet(template))
            goals = (goal for goal in self._goals if goal.may_meet(template))
            examples = (example(template, goal, denies, steps) for goal in goals)
            found = self._found.put(text, tuple(dict.fromkeys(each for each in examples if each is not None)))
        return found

    def _avoiding_what_denied(
        self, template: TemplateParts, goal: Glob, judge: Judge, steps: Steps
    ) -> Iterator[str]:
        avoided: list[Glob] = []
        for _ in range(_ROUNDS):
            expansion = example(template, goal, avoided, steps)
            if expansion is None:
                return
            yield expansion
            by = judge(Item(Kind.RESOURCE, expansion)).rule
            denied = [glob for rule, glob in self._denies if rule is by]
            if not denied:
                return
            avoided += denied


def _globs(rules: Iterable[Rule]) -> Iterator[tuple[Rule, Glob]]:
    for rule in rules:
        for name in sorted(rule.selector.exact.get(Kind.RESOURCE, ())):
            yield rule, Glob((name,))
        for pattern in rule.selector.patterns.get(Kind.RESOURCE, ()):
            yield rule, Glob(pattern.parts)


def _distinct(globs: Iterable[tuple[Rule, Glob]]) -> tuple[Glob, ...]:
    return tuple({glob.parts: glob for _, glob in globs}.values())


def _names(rule: Rule | None, text: str) -> bool:
    """Return whether a rule names a template in full; one with an explode modifier is a pattern to it."""
    return rule is not None and any("*".join(glob.parts) == text for _, glob in _globs([rule]))


_CLOSENESS = {
    reason: place
    for place, reason in enumerate(
        (
            Reason.MISSING_SCOPE,
            Reason.ARGS_NOT_ALLOWED,
            Reason.MISSING_ROLE,
            Reason.DENIED_BY_RULE,
            Reason.RULE_ERROR,
            Reason.NO_RULE,
        )
    )
}
"""How close a verdict is to an allow, as in `policy`."""

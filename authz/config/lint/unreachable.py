"""Find rules of a server that can never matter, which is probably not what their author meant.

* Another rule without conditions selects all of a rule's names. A pattern covers another if it matches its text: what
  matches `a_*_b` matches `a_*` too. Of two rules that cover each other, only the later is reported.
* Or a condition has the same value for everyone, or requires a name that the rule does not select. A condition on a
  tool's name is an error for a prompt; so such an allow never holds, and such a deny always does.

Rules are looked up in the index that decides, so the cost does not grow with the square of their number.
"""

from collections.abc import Iterable, Iterator, Sequence

from authz.config.cel.tree import names_equal_to
from authz.config.yaml_document import Path
from authz.core.mcp.item import Item, Kind
from authz.core.policy.condition import ALLOW_ORDER, conditions
from authz.core.policy.expression import Expression, Truth, activate
from authz.core.policy.index import Index
from authz.core.policy.rule import Effect, Rule, Selector

_NAMES = {
    Kind.TOOL: "mcp.tool.name",
    Kind.PROMPT: "mcp.prompt.name",
    Kind.RESOURCE: "mcp.resource.uri",
    Kind.TASK: "mcp.task.id",
}
"""Where an expression finds the name of an item, by kind."""
_DOES = {Effect.ALLOW: "allows", Effect.DENY: "denies"}
_NARROW, _CORRECT = "remove it, or narrow the other", "correct it, or remove the rule"


class RuleReach:
    """The rules of one server, with an index of those that have no conditions."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the server's rules in the file's order."""
        self._places = {id(rule): place for place, rule in enumerate(rules)}
        self._unconditional = {
            effect: Index(rule for rule in rules if rule.effect is effect and _is_unconditional(rule))
            for effect in Effect
        }

    def findings(self, rule: Rule) -> Iterator[tuple[Path, str, str]]:
        """Yield why a rule can never matter.

        Args:
            rule: one that is applied, not a shadow.

        Yields:
            The key below the rule, the finding, and the cure.
        """
        yield from (((), message, _NARROW) for message in self._covered(rule))
        for key, condition in (("when", rule.when), ("args", rule.args)):
            if condition is not None and _never_holds(condition, rule):
                message = f"can never hold for what the rule names, so the rule never {_DOES[rule.effect]}"
                yield (key,), message, _CORRECT

    def _covered(self, rule: Rule) -> Iterator[str]:
        """Yield at most one sentence about the other rule that makes this one useless."""
        texts = list(_texts(rule.selector))
        denying = self._denying(texts, rule) if rule.effect is Effect.ALLOW else []
        if denying:
            names = ", ".join(other.name for other in denying)
            yield f"can never allow: everything it names is denied to everyone by {names}"
            return
        for other in self._covering(rule, texts):
            earlier = self._places[id(other)] < self._places[id(rule)]
            if earlier or not _mutual(rule, other):
                yield f"changes nothing: {other.name} selects the same names and has no conditions"
                return

    def _denying(self, texts: Iterable[Item], rule: Rule) -> list[Rule]:
        """Return the rules that deny every text to everyone; none as soon as one text is not denied."""
        found: list[Rule] = []
        for text in texts:
            denying = self._others(Effect.DENY, text, rule)
            if not denying:
                return []
            found += denying
        return self._in_order(found)

    def _covering(self, rule: Rule, texts: Sequence[Item]) -> list[Rule]:
        """Return the other rules of the same effect that select every name of this one.

        Only those that are about the first name are asked about the next, and none is asked once none is left.
        """
        first, *rest = texts
        covering = self._others(rule.effect, first, rule)
        for text in rest:
            if not covering:
                break
            covering = [other for other in covering if other.selector.selects(text)]
        return covering

    def _others(self, effect: Effect, text: Item, rule: Rule) -> list[Rule]:
        """Return the other rules of an effect that have no conditions and select a name, in the file's order."""
        return self._in_order(other for other in self._unconditional[effect].about(text) if other is not rule)

    def _in_order(self, rules: Iterable[Rule]) -> list[Rule]:
        """Return rules in the file's order, each once."""
        places = sorted({self._places[id(rule)]: rule for rule in rules}.items())
        return [rule for _, rule in places]


def _is_unconditional(rule: Rule) -> bool:
    return not rule.shadow and not conditions(rule, ALLOW_ORDER)


def _mutual(rule: Rule, other: Rule) -> bool:
    """Return whether each rule covers the other."""
    return _is_unconditional(rule) and all(rule.selector.selects(text) for text in _texts(other.selector))


def _texts(selector: Selector) -> Iterator[Item]:
    """Yield the names of a selector as they were written; only a star of another pattern matches a star."""
    for kind, names in selector.exact.items():
        yield from (Item(kind, name) for name in names)
    for kind, patterns in selector.patterns.items():
        yield from (Item(kind, "*".join(pattern.parts)) for pattern in patterns)


def _never_holds(condition: Expression, rule: Rule) -> bool:
    """Return whether a condition keeps an allow or a deny from ever having an effect."""
    if not condition.reads:
        value = condition.value(activate({}))
        return value is Truth.FALSE or (value is Truth.ERROR and rule.effect is Effect.ALLOW)
    return "mcp" in condition.reads and any(_names_others(condition, rule, kind) for kind in Kind)


def _names_others(condition: Expression, rule: Rule, kind: Kind) -> bool:
    """Return whether a condition requires names of a kind, none of which the rule selects."""
    wanted = names_equal_to(condition.text, _NAMES[kind])
    if wanted is None or any(rule.selector.selects(Item(kind, name)) for name in wanted):
        return False
    others = (
        rule.selector.exact.get(other) or rule.selector.patterns.get(other) for other in {*Kind} - {kind}
    )
    return rule.effect is Effect.ALLOW or not any(others)

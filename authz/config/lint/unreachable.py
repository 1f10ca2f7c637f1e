"""Rules of a server that can never matter, so that they are probably not what was meant.

* Another rule without conditions is about all of a rule's names. A pattern counts as covering another when it fits its
  text: what fits `a_*_b` fits `a_*` too. Of two that cover each other only the later is useless.
* Or a condition has one value for everybody, or asks for a name that the rule does not select. A condition that asks
  for a tool's name is an error for a prompt; so such an allow never holds, and such a deny always does.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

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
"""Under what an expression finds the name of an item of each kind."""
_DOES = {Effect.ALLOW: "allows", Effect.DENY: "denies"}
_NARROW, _CORRECT = "remove it, or narrow the other", "correct it, or remove the rule"


class Coverage:
    """The rules of a native file's server, and which of them are about a name without asking for anything."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take the server's rules in the file's order."""
        self._places = {id(rule): place for place, rule in enumerate(rules)}
        self._open = {
            effect: Index(rule for rule in rules if rule.effect is effect and _asks_nothing(rule))
            for effect in Effect
        }

    def useless(self, rule: Rule) -> Iterator[tuple[Path, str, str]]:
        """Say why a rule can never matter.

        Args:
            rule: one that is applied, not a shadow.

        Yields:
            The place below the rule, what is so, and the cure.
        """
        yield from (((), message, _NARROW) for message in self._covered(rule))
        for key, condition in (("when", rule.when), ("args", rule.args)):
            if condition is not None and _never_holds(condition, rule):
                message = f"can never hold for what the rule names, so the rule never {_DOES[rule.effect]}"
                yield (key,), message, _CORRECT

    def _covered(self, rule: Rule) -> Iterator[str]:
        """Say what other rule makes this one useless; at most one sentence."""
        texts = list(_texts(rule.selector))
        denied = [self._others(Effect.DENY, text, rule) for text in texts]
        if rule.effect is Effect.ALLOW and all(denied):
            names = ", ".join(other.name for other in self._in_order(chain.from_iterable(denied)))
            yield f"can never allow: what it names is denied to everybody by {names}"
            return
        for other in self._covering(rule, texts):
            earlier = self._places[id(other)] < self._places[id(rule)]
            if earlier or not _mutual(rule, other):
                yield f"changes nothing: {other.name} is about the same names and asks for nothing"
                return

    def _covering(self, rule: Rule, texts: Sequence[Item]) -> Iterator[Rule]:
        """Give the other rules of the same effect, each of which is about every name of this one."""
        first, *rest = ({id(each): each for each in self._others(rule.effect, text, rule)} for text in texts)
        for key, other in first.items():
            if all(key in others for others in rest):
                yield other

    def _others(self, effect: Effect, text: Item, rule: Rule) -> list[Rule]:
        """Give the rules of an effect that ask for nothing and are about a name, but for this one, in the file's order."""
        return self._in_order(other for other in self._open[effect].about(text) if other is not rule)

    def _in_order(self, rules: Iterable[Rule]) -> list[Rule]:
        """Give rules in the file's order, each once."""
        places = sorted({self._places[id(rule)]: rule for rule in rules}.items())
        return [rule for _, rule in places]


def _asks_nothing(rule: Rule) -> bool:
    return not rule.shadow and not conditions(rule, ALLOW_ORDER)


def _mutual(rule: Rule, other: Rule) -> bool:
    """Tell whether the two could each take the other's place."""
    return _asks_nothing(rule) and all(rule.selector.selects(text) for text in _texts(other.selector))


def _texts(selector: Selector) -> Iterator[Item]:
    """Give the names of a selector as they were written; a pattern's stars fit only under another's."""
    for kind, names in selector.exact.items():
        yield from (Item(kind, name) for name in names)
    for kind, patterns in selector.patterns.items():
        yield from (Item(kind, "*".join(pattern.parts)) for pattern in patterns)


def _never_holds(condition: Expression, rule: Rule) -> bool:
    """Tell whether a condition keeps an allow or a deny from ever doing anything."""
    if not condition.reads:
        value = condition.value(activate({}))
        return value is Truth.FALSE or (value is Truth.ERROR and rule.effect is Effect.ALLOW)
    return any(_names_others(condition, rule, kind) for kind in Kind)


def _names_others(condition: Expression, rule: Rule, kind: Kind) -> bool:
    """Tell whether a condition asks for names of a kind of which the rule selects none."""
    wanted = names_equal_to(condition.text, _NAMES[kind])
    if wanted is None or any(rule.selector.selects(Item(kind, name)) for name in wanted):
        return False
    others = (
        rule.selector.exact.get(other) or rule.selector.patterns.get(other) for other in {*Kind} - {kind}
    )
    return rule.effect is Effect.ALLOW or not any(others)

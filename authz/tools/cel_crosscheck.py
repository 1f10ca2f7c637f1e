"""A second opinion on conditions: cel-python evaluates them beside cel-cpp, which decides.

Two implementations of one language, written independently, rarely make the same mistake. Where they differ over a
policy's own cases, the expression relies on something that one of them gets wrong or that the language leaves open, and
should be written in another way. This is a tool for policy authors: it is slow, `serve` never imports it, and it
changes no decision.

Rules of this file:

* Both yield one of the three outcomes of a condition: an error and a value that is not a boolean are `ERROR`.
* `contains` means what `config.cel.compile` makes it mean: text in a text, else a member of a list or a key of a map.
* Where cel-python cannot parse, does not know a function, or breaks, there is no second opinion and no disagreement.
* cel-python keeps one parser for the process, made for the first kind of runner. So there is one environment, here.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.celparser import CELParseError
from celpy.evaluation import CELEvalError, CELUnsupportedError, operator_in

from authz.core.mcp.item import Item
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import Expression, Truth
from authz.core.policy.rule import Rule

_UNKNOWN = "undeclared reference"
"""How cel-python reports a function it lacks; every name that a checked expression reads is bound."""

_BREAKS = (
    CELUnsupportedError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
)
"""What cel-python raises if it has no answer; an answer that is an error is a CELEvalError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A condition on which the two differ.

    Attributes:
        case: name of the case.
        rule: name of the rule.
        expression: its text.
        first: what cel-cpp says, by which the service decides.
        second: what cel-python says.
    """

    case: str
    rule: str
    expression: str
    first: Truth
    second: Truth

    def __str__(self) -> str:
        answers = f"cel-cpp says {self.first.value}, cel-python says {self.second.value}"
        return f"{answers} of rule {self.rule}: {self.expression}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """The result of asking both.

    Attributes:
        asked: how many times both answered.
        disagreements: where the answers differ.
        unheard: texts of expressions that cel-python could not answer at least once.
    """

    asked: int
    disagreements: tuple[Disagreement, ...]
    unheard: tuple[str, ...]


def cross_check(evaluated: Iterable[tuple[str, tuple[Rule, ...], EvaluationContext, Item]]) -> CrossCheck:
    """Ask both about every condition that the rules have for an item.

    Args:
        evaluated: the name of a case, the rules of its server, and what their conditions are evaluated against.
    """
    heard, disagreements, unheard = 0, [], {}
    for case, rules, context, item in evaluated:
        for rule, expression in _conditions(rules, context, item):
            first = context.truth(expression, item)
            second = python_truth(expression.text, context.values(expression, item))
            if second is None:
                unheard[expression.text] = True
                continue
            heard += 1
            if first is not second:
                disagreements.append(
                    Disagreement(
                        case=case, rule=rule.name, expression=expression.text, first=first, second=second
                    )
                )
    return CrossCheck(asked=heard, disagreements=tuple(disagreements), unheard=tuple(unheard))


def _conditions(
    rules: tuple[Rule, ...], context: EvaluationContext, item: Item
) -> Iterator[tuple[Rule, Expression]]:
    """Yield the conditions that have a value here; `args` has none in a list."""
    for rule in rules:
        if not rule.selector.selects(item):
            continue
        if rule.when is not None:
            yield rule, rule.when
        if rule.args is not None and context.arguments is not None:
            yield rule, rule.args


def python_truth(text: str, values: Mapping[str, Any]) -> Truth | None:
    """Evaluate with cel-python.

    Args:
        text: CEL that compiles.
        values: what the expression's names are bound to, as JSON values.

    Returns:
        The outcome, or None if cel-python has none.
    """
    program = _program(text)
    if program is None:
        return None
    try:
        value = program.evaluate({name: json_to_cel(_plain(bound)) for name, bound in values.items()})
    except CELEvalError as error:
        return None if _UNKNOWN in str(error.args) else Truth.ERROR
    except _BREAKS:
        return None
    if isinstance(value, celtypes.BoolType):
        return Truth.TRUE if value else Truth.FALSE
    return Truth.ERROR


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


@lru_cache(maxsize=1024)
def _program(text: str) -> celpy.Runner | None:
    environment = celpy.Environment(runner_class=celpy.InterpretedRunner)
    try:
        return environment.program(environment.compile(text), functions={"contains": _contains})
    except (CELParseError, *_BREAKS):
        return None


def _contains(container: Any, item: Any) -> Any:
    """Test containment as `config.cel.compile` does."""
    if isinstance(container, celtypes.StringType):
        if isinstance(item, celtypes.StringType):
            return celtypes.BoolType(str(item) in str(container))
        return CELEvalError("no such overload")
    return operator_in(item, container)

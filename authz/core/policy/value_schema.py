"""What a rule asks of the value of one argument, in the words of JSON Schema.

Rules of this file:

* A value that is not of the type, or misses a bound, does not fit. There is no value that a keyword is silent about:
  each keyword belongs to types, and a schema with one of another type is refused when the file is loaded.
* A pattern is RE2, matched by cel-cpp, so its time is linear in the text. A rule with patterns is not asked of a request
  beyond `limits.args_bytes`, as with expressions (`EvaluationContext.fits`).
* Lengths are compared before anything is walked, and what is walked is paid for by the request's budget.
* Two values are equal as in JSON: true is not 1, and 1 is 1.0.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from authz.core.policy.expression import ENGINE, activate
from authz.core.policy.rule import TYPES, Arguments
from authz.core.wire.confusables import Budget
from authz.core.wire.strict_json import InexactNumber

Test = Callable[[Any], bool]

_TEXT, _NUMBERS = frozenset({"string"}), frozenset({"int", "integer", "number"})
_LISTS, _MAPS = frozenset({"list", "array"}), frozenset({"map", "object"})
KEYWORD_TYPES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "pattern": _TEXT,
        "minLength": _TEXT,
        "maxLength": _TEXT,
        "minimum": _NUMBERS,
        "maximum": _NUMBERS,
        "exclusiveMinimum": _NUMBERS,
        "exclusiveMaximum": _NUMBERS,
        "items": _LISTS,
        "minItems": _LISTS,
        "maxItems": _LISTS,
        "properties": _MAPS,
        "required": _MAPS,
        "additionalProperties": _MAPS,
    }
)
"""Each keyword with the types that it is about."""

_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        "minLength": lambda value, bound: len(value) >= bound,
        "maxLength": lambda value, bound: len(value) <= bound,
        "minItems": lambda value, bound: len(value) >= bound,
        "maxItems": lambda value, bound: len(value) <= bound,
        "minimum": lambda value, bound: value >= bound,
        "maximum": lambda value, bound: value <= bound,
        "exclusiveMinimum": lambda value, bound: value > bound,
        "exclusiveMaximum": lambda value, bound: value < bound,
    }
)


@dataclass(frozen=True, slots=True)
class ValueSchema:
    """What is asked of one value.

    Attributes:
        text: as the operator wrote it, in one line.
        type_: the name of its type, `any` for every one.
        optional: whether the argument may be left out.
        reads_text: whether a pattern is matched.
        tests: further tests of a value of that type, the cheap ones first.
        items: what is asked of each item of a list.
        members: what is asked of an object's members.
    """

    text: str
    type_: str = "any"
    optional: bool = False
    reads_text: bool = field(default=False, compare=False)
    tests: tuple[Test, ...] = field(default=(), compare=False, repr=False)
    items: "ValueSchema | str | None" = None
    members: Arguments | None = None

    def __str__(self) -> str:
        """Return the schema as its author wrote it."""
        return self.text

    def fits(self, value: Any, budget: Budget | None) -> bool:
        """Return whether a value is as asked.

        Raises:
            OverBudgetError: there is more to look at than the budget pays for.
        """
        if not TYPES[self.type_](value) or not all(test(value) for test in self.tests):
            return False
        if budget is not None and (self.items is not None or self.members is not None):
            budget.visit(len(value))
        if self.items is not None and not all(_fits(self.items, item, budget) for item in value):
            return False
        return self.members is None or self.members.fit(value, budget)


def _fits(schema: ValueSchema | str, value: Any, budget: Budget | None) -> bool:
    return TYPES[schema](value) if isinstance(schema, str) else schema.fits(value, budget)


def bound(keyword: str, limit: Any) -> Test:
    """Return the test of a keyword that bounds a length or a number."""
    holds = _BOUNDS[keyword]
    return lambda value: holds(value, limit)


def one_of(values: list[Any]) -> Test:
    """Return the test of `enum`."""
    return lambda value: any(_equal(value, each) for each in values)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, InexactNumber) or isinstance(one, bool) != isinstance(other, bool):
        return False
    return bool(one == other)


def pattern(text: str) -> Test:
    """Return the test of `pattern`: RE2, found anywhere in the text.

    Raises:
        ValueError: it is no pattern of RE2.
    """
    program = ENGINE.compile(f"client.matches({json.dumps(text, ensure_ascii=False)})")

    def matches(value: Any) -> bool:
        try:
            return program.eval(activate({"client": value})).value() is True
        except RuntimeError:
            return False

    try:
        usable = isinstance(program.eval(activate({"client": ""})).value(), bool)
    except RuntimeError:
        usable = False
    if not usable:
        msg = "is no pattern of RE2 (lookahead and back references do not exist there)"
        raise ValueError(msg)
    return matches

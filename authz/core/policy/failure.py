"""Why an expression had no value, in words without the value of a claim or an argument.

cel-cpp reports an error as a sentence of its own. Some of them quote a value: a key that was computed, a pattern. So a
sentence is not passed on but recognised, and a key is named only where the expression spells it out.
"""

import re

from authz.core.mcp.item import Item
from authz.core.policy.context import EvaluationContext, UnfitArgumentsError
from authz.core.policy.expression import Expression

_UNFIT = "what it reads of the arguments could mean something else to the server, or the request exceeds limits.args_bytes"
_NO_KEY = re.compile(r'Key not found in map : "(.*)"', re.DOTALL)
_NO_OVERLOAD = re.compile(r"No matching overloads found : ([\w.@()<>, !&|+*/%\[\]?:-]+)")
_SAYS = (
    ("Index error", "there is no item at this index"),
    ("index out of range", "there is no character at this index"),
    ("greater than <string>.size()", "the text is shorter than the index"),
    ("Applying SELECT to non-message type", "a field is read of a value that is no map"),
    ("Invalid container type", "an item is read of a value that is neither a list nor a map"),
    ("divide by zero", "divided by zero"),
    ("modulus by zero", "divided by zero"),
    ("overflow", "a number is too large"),
    ("out of", "a number is too large"),
    ("cannot convert string to int", "this text is no whole number"),
    ("cannot convert string to double", "this text is no number"),
    ("String to Timestamp", "this text is no timestamp"),
    ("String to Duration", "this text is no duration"),
    ("Type conversion error", "this value cannot be converted"),
    ("invalid regular expression", "the pattern is no pattern of RE2"),
    ("Iteration budget", "it needs too many steps"),
)


def failure(expression: Expression, context: EvaluationContext, item: Item) -> str:
    """Return why an expression is neither true nor false for an item; empty if it is one of them."""
    try:
        activation = context.bind(expression, item)
    except UnfitArgumentsError:
        return _UNFIT
    except RuntimeError:
        return "a value that it reads cannot be expressed in CEL"
    try:
        value = expression.program.eval(activation)
        plain = value.value()
    except RuntimeError as error:
        return _sentence(str(error), expression.text)
    if isinstance(plain, bool):
        return ""
    kind = value.type().name().lower()
    return (
        _sentence(str(plain), expression.text)
        if kind == "error"
        else f"its value is of type {kind}, neither true nor false"
    )


def _sentence(report: str, text: str) -> str:
    found = _NO_KEY.search(report)
    if found is not None:
        return (
            f"no such key: {found[1]}"
            if found[1] and found[1] in text
            else "no such key (its name is computed)"
        )
    found = _NO_OVERLOAD.search(report)
    if found is not None:
        return f"not defined for values of these types: {found[1]}"
    return next((words for part, words in _SAYS if part in report), "the evaluation failed")

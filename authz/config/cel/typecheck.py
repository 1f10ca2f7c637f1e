"""The type check of a CEL text by cel-cpp: which names exist, of which type, and what is wrong where.

Every field of `mcp`, `request` and `source` is declared with its type here; the program that is evaluated
(`core.policy.expression.ENGINE`) needs none of them. Functions that exist on the tree alone are declared by overloads
that never run.
"""

import re

from cel_expr_python import cel

from authz.config.cel.tree import Node
from authz.core.policy.expression import EXTENSIONS, VARIABLES

_STRING, _DYN = cel.Type.STRING, cel.Type.DYN

FIELDS = {
    "mcp.method": _STRING,
    "mcp.tool.name": _STRING,
    "mcp.tool.target": _STRING,
    "mcp.prompt.name": _STRING,
    "mcp.prompt.target": _STRING,
    "mcp.resource.uri": _STRING,
    "mcp.resource.name": _STRING,
    "mcp.resource.target": _STRING,
    "mcp.task.id": _STRING,
    "tool.readOnly": cel.Type.BOOL,
    "tool.destructive": cel.Type.BOOL,
    "tool.idempotent": cel.Type.BOOL,
    "tool.openWorld": cel.Type.BOOL,
    "request.method": _STRING,
    "request.host": _STRING,
    "request.path": _STRING,
    "request.headers": cel.Type.Map(_STRING, _STRING),
    "source.address": _STRING,
}
"""The fields below the structured names, with their types."""

ABSENT = frozenset({"mcp.tool.arguments", "mcp.tool.result", "mcp.tool.error"})
"""Fields of agentgateway that no authorization there sees. Here as there, `has()` of them is false, and nothing reads them."""


class ExpressionError(ValueError):
    """An expression that is refused.

    Attributes:
        line: line within the expression, from 1.
        column: column within that line, from 1.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        """Keep the position with the message."""
        super().__init__(message)
        self.line = line
        self.column = column


def _never(*_: object) -> bool:
    """Stand for the implementation of overloads that `rewrite` takes off the tree before anything is evaluated."""
    msg = "an overload for the type check was evaluated"
    raise RuntimeError(msg)


def _overload(
    function: str, *parameters: cel.Type, member: bool = False, gives: cel.Type = _DYN
) -> cel.Overload:
    name = "_".join([function, *(re.sub(r"\W", "", each.name()).lower() for each in parameters)])
    return cel.Overload(name, return_type=gives, parameters=list(parameters), is_member=member, impl=_never)


_MAX_TRIED = 8
_ON_THE_TREE = {
    "contains": [
        _overload("contains", holder, _DYN, member=True, gives=cel.Type.BOOL)
        for holder in (cel.Type.List(_DYN), cel.Type.Map(_DYN, _DYN))
    ],
    "default": [_overload("default", _DYN, _DYN)],
    "coalesce": [_overload("coalesce", *[_DYN] * count) for count in range(1, _MAX_TRIED + 1)],
    "cidr": [_overload("cidr", _STRING)],
    "ip": [_overload("ip", _STRING)],
    "containsIP": [_overload("containsIP", _DYN, _DYN, member=True, gives=cel.Type.BOOL)],
}
"""What `rewrite` knows and cel-cpp does not, as the type check sees it."""


def _checker() -> cel.Env:
    extension = cel.CelExtension("tree", [cel.FunctionDecl(*each) for each in _ON_THE_TREE.items()])
    variables = {**VARIABLES, **FIELDS, **dict.fromkeys(ABSENT, _DYN)}
    return cel.NewEnv(variables=variables, extensions=[*EXTENSIONS, extension])


_CHECKER = _checker()


def checked(text: str) -> cel.Type:
    """Return the type of a text's value.

    Raises:
        ExpressionError: the text does not compile.
    """
    try:
        return _CHECKER.compile(text).return_type()
    except RuntimeError as error:
        raise located(str(error)) from None


_PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): (.*)")

_NOISE = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$| \(in container ''\)")
"""What cel-cpp's reports contain besides the finding: a status at either end, and the container."""


def located(message: str) -> ExpressionError:
    """Turn a report of cel-cpp into an error with its first finding."""
    sentence = _NOISE.sub("", message.splitlines()[0])
    found = _PLACE.search(sentence)
    if found is None:
        return ExpressionError(sentence)
    line, column = (
        max(1, int(number)) for number in found.group(1, 2)
    )  # cel-cpp says -1 if it has no position
    return ExpressionError(found[3], line, column)


def check_boolean(result: cel.Type, root: Node) -> None:
    """Refuse a type that a condition cannot have.

    Args:
        result: the type.
        root: the tree of the same text.

    Raises:
        ExpressionError: its value is neither true nor false.
    """
    # Where a.b.c is a declared name, cel-cpp gives has(a.b.c) the type of the field; the macro itself is boolean.
    if result in (cel.Type.BOOL, _DYN) or root.select_expr.test_only:
        return
    message = f"is of type {result.name().lower()}, a condition must be true or false"
    raise ExpressionError(message)

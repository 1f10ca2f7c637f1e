"""The type check of a CEL text by cel-cpp: which names exist, of which type, and what is wrong where.

Every field of `mcp`, `request` and `source` is declared with its type here; the program that is evaluated
(`core.policy.expression.ENGINE`) needs none of them. `contains` is also declared for lists and maps, by overloads that
never run.
"""

import re

from cel_expr_python import cel

from authz.config.cel.tree import Node
from authz.core.policy.expression import VARIABLES

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
    """Implement overloads that only the type check uses."""
    raise NotImplementedError


def _checker() -> cel.Env:
    overloads = [
        cel.Overload(
            f"{name}_contains_dyn",
            return_type=cel.Type.BOOL,
            parameters=[type_, _DYN],
            is_member=True,
            impl=_never,
        )
        for name, type_ in (("list", cel.Type.List(_DYN)), ("map", cel.Type.Map(_DYN, _DYN)))
    ]
    extension = cel.CelExtension("contains", [cel.FunctionDecl("contains", overloads)])
    return cel.NewEnv(
        variables={**VARIABLES, **FIELDS, **dict.fromkeys(ABSENT, _DYN)}, extensions=[extension]
    )


_CHECKER = _checker()


def checked(text: str) -> cel.Type:
    """Return the type of a text's value.

    Raises:
        ExpressionError: the text does not compile.
    """
    try:
        return _CHECKER.compile(text).return_type()
    except RuntimeError as error:
        raise _located(str(error)) from None


_PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): (.*)")

_NOISE = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$| \(in container ''\)")
"""What cel-cpp's reports contain besides the finding: a status at either end, and the container."""


def _located(message: str) -> ExpressionError:
    """Turn cel-cpp's report into an error with its first finding."""
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

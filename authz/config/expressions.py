"""CEL text -> checked expression.

Theory. Three looks at the same text, each for what it does best:

1. cel-cpp compiles it against `_CHECKER`, where every field of `mcp`, `request` and `source` is declared with its
   type. That gives undeclared names and wrong types with line and column. Here `contains` is also declared for lists
   and maps; the overload has no implementation that is ever run.
2. cel-cpp parses it without a check and hands out the tree (`cel.expr.ParsedExpr`). On the tree a member call
   `x.contains(y)` becomes `type(x) == string ? x.contains(y) : y in x`, which is agentgateway's dialect of the word
   without a function implemented in Python. The tree also says what is read.
3. The tree goes back to cel-cpp (`core.expression.ENGINE`) as the program that is evaluated.
"""

import re
from dataclasses import dataclass, field

from cel_expr_python import cel
from google.protobuf import any_pb2

from authz.config.celtree import (
    Expr,
    Node,
    Parsed,
    literal_key,
    nodes,
    parse,
    path_of,
    position,
    selected_from,
)
from authz.core.expression import ENGINE, VARIABLES, Expression

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
"""What stands below the structured names, with its type."""

_ROOTS = frozenset(path.split(".", 1)[0] for path in FIELDS)
_PREFIXES = frozenset(path.rsplit(".", depth)[0] for path in FIELDS for depth in range(3)) | frozenset(FIELDS)


def _never(*_: object) -> bool:
    """Stand behind overloads that exist for the type check only."""
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
    return cel.NewEnv(variables={**VARIABLES, **FIELDS}, extensions=[extension])


_CHECKER = _checker()


_MAX_BYTES = 1_048_576
"""Largest rewritten tree; each `contains` inside another's target makes it three times as large."""


class ExpressionError(ValueError):
    """An expression that cannot be accepted.

    Attributes:
        line: line within the expression, from 1.
        column: column within that line, from 1.
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        """Keep the place beside the text."""
        super().__init__(message)
        self.line = line
        self.column = column


@dataclass(slots=True)
class _Reads:
    """What a tree reads, gathered node by node."""

    names: set[str] = field(default_factory=set)
    headers: set[str] | None = field(default_factory=set)
    claims: set[str] | None = field(default_factory=set)
    arguments: set[str] | None = field(default_factory=set)


def compile_expression(text: str, *, forbidden: frozenset[str] = frozenset()) -> Expression:
    """Check and compile an expression.

    Args:
        text: CEL.
        forbidden: top-level names it must not read (`args` in a `when`).

    Returns:
        The expression, ready to be evaluated.

    Raises:
        ExpressionError: with the place in the text.
    """
    result = _checked(text)
    parsed = parse(text)
    reads = _read(parsed, forbidden)
    _boolean(result, parsed.expr)
    for node in reversed([node for node in nodes(parsed.expr) if _is_contains(node)]):  # inner ones first
        _rewrite_contains(node)
        if node.ByteSize() > _MAX_BYTES:
            message = "contains is nested too deeply"
            raise ExpressionError(message)
    packed = any_pb2.Any()
    packed.Pack(parsed)
    return Expression(
        text=text,
        reads=frozenset(reads.names),
        headers=None if reads.headers is None else frozenset(reads.headers),
        claims=None if reads.claims is None else frozenset(reads.claims),
        arguments=None if reads.arguments is None else frozenset(reads.arguments),
        program=ENGINE.deserialize(packed.SerializeToString()),
    )


def names_equal_to(text: str, path: str) -> frozenset[str] | None:
    """Give the only values that `path` can have where the expression is true; None when it does not say.

    Read from the tree: `path == "x"` or `path in ["x", "y"]`, alone, under `&&`, or in every branch of `||`. A rule
    can then be indexed by name: for any other name the expression cannot be true, and where the other side of `&&`
    errs it is false all the same, because false wins over an error.
    """
    return _pinned(parse(text).expr, path)


def _pinned(node: Node, path: str) -> frozenset[str] | None:
    call = node.call_expr
    if call.function in {"_&&_", "_||_"}:
        left, right = (_pinned(arg, path) for arg in call.args)
        if call.function == "_||_":
            return None if left is None or right is None else left | right
        return left if right is None else right if left is None else left & right
    if call.function == "_==_":
        sides = sorted(call.args, key=lambda side: side.HasField("const_expr"))
        if path_of(sides[0]) == path and sides[1].const_expr.HasField("string_value"):
            return frozenset({sides[1].const_expr.string_value})
    if call.function == "@in" and path_of(call.args[0]) == path and call.args[1].HasField("list_expr"):
        elements = call.args[1].list_expr.elements
        if all(element.const_expr.HasField("string_value") for element in elements):
            return frozenset(element.const_expr.string_value for element in elements)
    return None


def _checked(text: str) -> cel.Type:
    try:
        return _CHECKER.compile(text).return_type()
    except RuntimeError as error:
        raise _located(str(error)) from None


_PLACE = re.compile(r"<input>:(-?\d+):(-?\d+): (.*)")

_NOISE = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$| \(in container ''\)")
"""Words of cel-cpp's reports that say nothing about the expression: a status, before and behind, and the container."""


def _located(message: str) -> ExpressionError:
    """Turn cel-cpp's report into ours: the first place and its sentence."""
    sentence = _NOISE.sub("", message.splitlines()[0])
    found = _PLACE.search(sentence)
    if found is None:
        return ExpressionError(sentence)
    line, column = (max(1, int(number)) for number in found.group(1, 2))  # -1 where it has no place
    return ExpressionError(found[3], line, column)


def _boolean(result: cel.Type, root: Node) -> None:
    # cel-cpp gives has(a.b.c) the type of the field where a.b.c is a declared name; the macro itself is boolean.
    if result in (cel.Type.BOOL, _DYN) or root.select_expr.test_only:
        return
    message = f"gives {result.name().lower()}, a condition must give true or false"
    raise ExpressionError(message)


def _read(parsed: Parsed, forbidden: frozenset[str]) -> _Reads:
    """Gather what the tree reads and refuse unknown fields and forbidden names."""
    reads = _Reads()
    for node in nodes(parsed.expr):
        kind = node.WhichOneof("expr_kind")
        if kind == "ident_expr":
            _known_name(parsed, node, forbidden)
            reads.names |= {node.ident_expr.name} & VARIABLES.keys()
        if kind == "select_expr":
            _known_field(parsed, node)
    reads.headers = _keys_read(parsed.expr, "request.headers")
    reads.claims = _keys_read(parsed.expr, "jwt")
    reads.arguments = _keys_read(parsed.expr, "args")
    return reads


def _known_name(parsed: Parsed, node: Node, forbidden: frozenset[str]) -> None:
    name = node.ident_expr.name
    if name.startswith("."):  # names the same variable for the type check, and none that is bound
        raise _at(parsed, node, f"a name begins with a letter: write {name[1:]}")
    if name in forbidden:
        raise _at(parsed, node, f"reads {name}, which only `args` may")


def _known_field(parsed: Parsed, node: Node) -> None:
    path = path_of(node)
    if path is None or path.split(".", 1)[0] not in _ROOTS or path.startswith("request.headers."):
        return
    if path not in _PREFIXES:
        raise _at(parsed, node, f"undeclared reference to '{path}'")


def _keys_read(root: Node, path: str) -> set[str] | None:
    """Give the literal keys under which `path` is read, None when it is also read in another way."""
    listed = list(nodes(root))
    parents = path.split(".")[:-1]
    for depth in range(1, len(parents) + 1):  # `request` alone would read the headers below it
        parent = ".".join(parents[:depth])
        if _count(listed, parent) != sum(selected_from(node) == parent for node in listed):
            return None
    keys = [key for node in listed if (key := literal_key(node, path)) is not None]
    return set(keys) if len(keys) == _count(listed, path) else None


def _count(listed: list[Node], path: str) -> int:
    return sum(path_of(node) == path for node in listed)


def _at(parsed: Parsed, node: Node, message: str) -> ExpressionError:
    return ExpressionError(message, *position(parsed, node))


def _is_contains(node: Node) -> bool:
    call = node.call_expr
    return bool(call.function == "contains" and call.HasField("target") and len(call.args) == 1)


def _rewrite_contains(node: Node) -> None:
    """Turn `x.contains(y)` into `type(x) == string ? x.contains(y) : y in x`, in place."""
    original = Expr()
    original.CopyFrom(node)
    target, wanted = original.call_expr.target, original.call_expr.args[0]
    is_string = Expr(
        call_expr=Expr.Call(
            function="_==_",
            args=[
                Expr(call_expr=Expr.Call(function="type", args=[target])),
                Expr(ident_expr=Expr.Ident(name="string")),
            ],
        ),
    )
    is_member = Expr(call_expr=Expr.Call(function="@in", args=[wanted, target]))
    node.call_expr.Clear()
    node.call_expr.function = "_?_:_"
    node.call_expr.args.extend([is_string, original, is_member])

"""The tree of a CEL text, as cel-cpp parses it, and what other modules ask of it.

A tree is walked with an explicit stack, so only the parser limits its depth (cel-cpp stops at 32 levels).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeAlias

from cel.expr import syntax_pb2
from google.protobuf import any_pb2

from authz.core.policy.expression import ENGINE

Node: TypeAlias = Any
"""A `cel.expr.Expr`; protobuf's generated classes carry no types here."""

Parsed: TypeAlias = syntax_pb2.ParsedExpr
Expr = syntax_pb2.Expr
_LEAVES = frozenset({"const_expr", "ident_expr"})


@lru_cache(maxsize=64)
def parse(text: str) -> Parsed:
    """Return the tree of a text that compiles.

    Compiling and linting one rule ask for the same tree a dozen times, so the last few are kept. They are shared: copy
    a tree before you change it.
    """
    packed = any_pb2.Any()
    packed.ParseFromString(ENGINE.compile(text, disable_check=True).serialize())
    parsed = Parsed()
    packed.Unpack(parsed)
    return parsed


@lru_cache(maxsize=64)
def nodes_of(text: str) -> tuple[Node, ...]:
    """Return every node of the tree of a text that compiles, each parent before its children."""
    return tuple(nodes(parse(text).expr))


def nodes(root: Node) -> Iterator[Node]:
    """Yield every node, each parent before its children."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.WhichOneof("expr_kind") not in _LEAVES:  # most of them
            stack.extend(children(node))
        yield node


def children(node: Node) -> list[Node]:
    """Return the nodes right below one."""
    kind = node.WhichOneof("expr_kind")
    if kind == "select_expr":
        return [node.select_expr.operand]
    if kind == "call_expr":
        call = node.call_expr
        return [*([call.target] if call.HasField("target") else []), *call.args]
    if kind == "list_expr":
        return list(node.list_expr.elements)
    if kind == "struct_expr":
        entries = node.struct_expr.entries
        return [part for entry in entries for part in (entry.map_key, entry.value)]
    if kind == "comprehension_expr":
        loop = node.comprehension_expr
        return [loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result]
    return []


def path_of(node: Node) -> str | None:
    """Return `a.b.c` for a chain of selections from a name, None for any other node."""
    parts: list[str] = []
    while node.WhichOneof("expr_kind") == "select_expr":
        parts.append(node.select_expr.field)
        node = node.select_expr.operand
    if node.WhichOneof("expr_kind") != "ident_expr":
        return None
    return ".".join([node.ident_expr.name, *reversed(parts)])


def selected_from(node: Node) -> str | None:
    """Return the chain that a field is selected from, None for any other node."""
    is_selection = node.WhichOneof("expr_kind") == "select_expr"
    return path_of(node.select_expr.operand) if is_selection else None


def literal_key(node: Node, path: str) -> str | None:
    """Return `k` if the node is `path.k` or `path["k"]`, None for any other node."""
    if selected_from(node) == path:
        return str(node.select_expr.field)
    call = node.call_expr
    if (
        call.function == "_[_]"
        and path_of(call.args[0]) == path
        and call.args[1].const_expr.HasField("string_value")
    ):
        return str(call.args[1].const_expr.string_value)
    return None


def key_paths(root: Node, name: str) -> set[tuple[str, ...]] | None:
    """Return the literal keys that lead to each place below a variable that is read, or None if the variable itself is.

    `name.a.b` and `name.a["b"]` read the place `("a", "b")`, `name.a[i]` the place `("a",)`, and `name[i]` the variable.
    """
    found: set[tuple[str, ...]] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        path = _key_path(node, name)
        if path == ():
            return None
        if path is None:
            stack.extend(children(node))
        else:
            found.add(path)
    return found


def _key_path(node: Node, name: str) -> tuple[str, ...] | None:
    """Return the keys of a chain of literal keys from a name, None for any other node."""
    keys: list[str] = []
    while node.WhichOneof("expr_kind") != "ident_expr":
        call = node.call_expr
        if node.WhichOneof("expr_kind") == "select_expr":
            keys.append(node.select_expr.field)
            node = node.select_expr.operand
        elif call.function == "_[_]" and call.args[1].const_expr.HasField("string_value"):
            keys.append(call.args[1].const_expr.string_value)
            node = call.args[0]
        else:
            return None
    return tuple(reversed(keys)) if node.ident_expr.name == name else None


def offset(parsed: Parsed, node: Node) -> int:
    """Return a node's offset in its text, in code points; that of an operator's node is the operator's."""
    return int(parsed.source_info.positions[node.id])


def position(parsed: Parsed, node: Node) -> tuple[int, int]:
    """Return a node's line and column, from 1."""
    at = offset(parsed, node)
    starts = [0, *parsed.source_info.line_offsets]
    line = max(number for number, start in enumerate(starts, 1) if start <= at)
    return line, at - starts[line - 1] + 1


def names_equal_to(text: str, path: str) -> frozenset[str] | None:
    """Return the only values that `path` can have where the expression is true, or None if it sets no such limit.

    The forms are `path == "x"` and `path in ["x", "y"]`, alone, under `&&`, or in every branch of `||`. A rule can then
    be indexed by name: for any other name the expression cannot be true. If the other side of `&&` is an error, it is
    false all the same, because false wins over an error.
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

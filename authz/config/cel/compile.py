"""CEL text -> checked expression.

The same text is read three times, each time for what that pass does best:

1. cel-cpp parses it without a check and returns the tree (`cel.expr.ParsedExpr`). The tree shows which functions are
   called (`functions`) and what is read.
2. cel-cpp compiles it with types (`typecheck`). That finds undeclared names and wrong types with line and column.
3. Functions that cel-cpp does not have are written in its own operators (`rewrite`), and the tree goes back to
   cel-cpp (`core.policy.expression.ENGINE`) as the program that is evaluated.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cel_expr_python import cel
from google.protobuf import any_pb2

from authz.config.cel.functions import check_functions
from authz.config.cel.rewrite import rewritten
from authz.config.cel.tree import (
    Node,
    Parsed,
    key_paths,
    literal_key,
    nodes_of,
    parse,
    path_of,
    position,
    selected_from,
)
from authz.config.cel.typecheck import ABSENT, FIELDS, ExpressionError, check_boolean, checked, located
from authz.core.policy.expression import ENGINE, VARIABLES, ArgumentPaths, Expression

_ROOTS = frozenset(path.split(".", 1)[0] for path in FIELDS)
_PREFIXES = frozenset(path.rsplit(".", depth)[0] for path in FIELDS for depth in range(3)) | frozenset(FIELDS)
_ARGUMENTS = "a native rule reads the arguments as args, in `args`"


@dataclass(slots=True)
class _Reads:
    """What a tree reads; each set is None if something is read under a computed name."""

    names: set[str] = field(default_factory=set)
    headers: set[str] | None = field(default_factory=set)
    claims: set[str] | None = field(default_factory=set)
    arguments: set[tuple[str, ...]] | None = field(default_factory=set)


def compile_expression(text: str, *, forbidden: frozenset[str] = frozenset()) -> Expression:
    """Check and compile an expression.

    Args:
        text: CEL.
        forbidden: top-level names that it must not read (`args` in a `when`).

    Returns:
        The expression, ready to evaluate.

    Raises:
        ExpressionError: with the place in the text.
    """
    parsed, listed = _tree(text)
    check_functions(parsed, listed)
    result = checked(text)
    reads = _read(parsed, listed, forbidden)
    check_boolean(result, parsed.expr)
    return Expression(
        text=text,
        reads=frozenset(reads.names),
        headers=None if reads.headers is None else frozenset(reads.headers),
        claims=None if reads.claims is None else frozenset(reads.claims),
        arguments=None if reads.arguments is None else ArgumentPaths.of(reads.arguments),
        program=_program(rewritten(parsed, listed)),
    )


def _tree(text: str) -> tuple[Parsed, Sequence[Node]]:
    """Return the tree of a text and its nodes.

    Raises:
        ExpressionError: the text does not parse.
    """
    try:
        return parse(text), nodes_of(text)
    except RuntimeError as error:
        raise located(str(error)) from None


def _program(parsed: Parsed) -> cel.Expression:
    packed = any_pb2.Any()
    packed.Pack(parsed)
    return ENGINE.deserialize(packed.SerializeToString())


def _read(parsed: Parsed, listed: Sequence[Node], forbidden: frozenset[str]) -> _Reads:
    """Collect what the tree reads; refuse unknown fields and forbidden names."""
    reads = _Reads()
    for node in listed:
        kind = node.WhichOneof("expr_kind")
        if kind == "ident_expr":
            _known_name(parsed, node, forbidden)
            reads.names |= {node.ident_expr.name} & VARIABLES.keys()
        if kind == "select_expr":
            _known_field(parsed, node)
    if not reads.names.isdisjoint({"jwt", "request"}):
        paths, selected = Counter(map(path_of, listed)), Counter(map(selected_from, listed))
        reads.headers = _keys_read(listed, "request.headers", paths, selected)
        reads.claims = _keys_read(listed, "jwt", paths, selected)
    if "args" in reads.names:
        reads.arguments = key_paths(parsed.expr, "args")
    return reads


def _known_name(parsed: Parsed, node: Node, forbidden: frozenset[str]) -> None:
    name = node.ident_expr.name
    if name.startswith("."):  # the type check takes it for the variable, the engine does not
        raise _at(parsed, node, f"a name begins with a letter: write {name[1:]}")
    if name in forbidden:
        raise _at(parsed, node, f"reads {name}, which only `args` may")


def _known_field(parsed: Parsed, node: Node) -> None:
    path = path_of(node)
    if path is None or path.split(".", 1)[0] not in _ROOTS or path.startswith("request.headers."):
        return
    absent = next((name for name in ABSENT if f"{path}.".startswith(f"{name}.")), None)
    if absent:
        if path != absent or not node.select_expr.test_only:
            raise _at(parsed, node, f"{absent} is absent while a call is judged; {_ARGUMENTS}")
    elif path not in _PREFIXES:
        raise _at(parsed, node, f"undeclared reference to '{path}'")


def _keys_read(
    listed: Sequence[Node], path: str, paths: Counter[str | None], selected: Counter[str | None]
) -> set[str] | None:
    """Return the literal keys under which `path` is read, or None if it is also read in another way.

    Args:
        listed: every node.
        path: a map that is read by key.
        paths: how often each path occurs in the tree.
        selected: how often a field is selected from each path.
    """
    if not paths[path.partition(".")[0]]:
        return set()
    parent = path.rpartition(".")[0]
    if parent and paths[parent] != selected[parent]:  # `request` alone would read the headers below it
        return None
    if not paths[path]:
        return set()
    keys = [key for node in listed if (key := literal_key(node, path)) is not None]
    return set(keys) if len(keys) == paths[path] else None


def _at(parsed: Parsed, node: Node, message: str) -> ExpressionError:
    return ExpressionError(message, *position(parsed, node))

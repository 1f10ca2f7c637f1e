"""Functions that exist on the tree alone: each call becomes an expression of functions that the engine has.

cel-cpp has no such functions, and those in Python would run on the request path. What they become:

* `x.contains(y)`: `type(x) == string ? x.contains(y) : y in x`, as agentgateway means the word.
* `default(a.b, y)`: `"b" in a ? a.b : y`; each step of a path is first tested to be a map. `coalesce(a.b, c, y)`
  likewise, and it also passes over null. CEL cannot catch an error, so what is tried must be a path of literal keys.
* `cidr("10.0.0.0/8").containsIP(x)`: `inNetwork("10.0.0.0/8", x)`, so that the network is read here and what is no
  network is refused. `inNetwork` is in Python (`core.policy.expression`).
"""

from collections.abc import Callable, Sequence

from authz.config.cel.tree import Expr, Node, Parsed, nodes, position
from authz.config.cel.typecheck import ExpressionError
from authz.core.policy.expression import read_network

_MAX_BYTES = 1_048_576
"""Largest rewritten tree: each `contains` inside the target of another triples it."""
_INSIDE = frozenset({"cidr", "ip"})
"""Functions that stand only inside others."""


def rewritten(shared: Parsed, listed: Sequence[Node]) -> Parsed:
    """Return a tree without functions that cel-cpp does not have; the same one if it has none of them.

    Args:
        shared: the tree; it stays as it is.
        listed: its nodes.

    Raises:
        ExpressionError: a function is used in a form that cannot be rewritten, or the tree becomes too large.
    """
    if not any(node.call_expr.function in _REWRITES or node.call_expr.function in _INSIDE for node in listed):
        return shared
    parsed = Parsed()
    parsed.CopyFrom(shared)
    for node in reversed(list(nodes(parsed.expr))):  # inner ones first
        rewrite = _REWRITES.get(node.call_expr.function)
        if rewrite is None:
            continue
        call = Expr()
        call.CopyFrom(node)
        try:
            made = rewrite(call)
        except ValueError as error:
            raise ExpressionError(str(error), *position(shared, call)) from None
        node.CopyFrom(made)
        if node.ByteSize() > _MAX_BYTES:
            message = f"{call.call_expr.function} is nested too deeply"
            raise ExpressionError(message)
    left = next((node for node in nodes(parsed.expr) if node.call_expr.function in _INSIDE), None)
    if left is not None:
        message = f'{left.call_expr.function} stands only in cidr("10.0.0.0/8").containsIP(source.address)'
        raise ExpressionError(message, *position(shared, left))
    return parsed


def _contains(node: Node) -> Node:
    call = node.call_expr
    if not call.HasField("target"):
        return node
    return _if(_is_of_type(call.target, "string"), node, _call("@in", call.args[0], call.target))


def _default(node: Node) -> Node:
    path, otherwise = node.call_expr.args
    return _if(_exists(path, "default"), path, otherwise)


def _coalesce(node: Node) -> Node:
    *tried, last = node.call_expr.args
    for path in reversed(tried):
        holds = _call(
            "_&&_", _exists(path, "coalesce"), _call("_!=_", path, Expr(const_expr={"null_value": 0}))
        )
        last = _if(holds, path, last)
    return last


def _exists(path: Node, function: str) -> Node:
    """Return a test of every step of a path of literal keys."""
    tests: list[Node] = []
    node = path
    while node.WhichOneof("expr_kind") != "ident_expr":
        key, node = _step(node, function)
        steps = [_is_of_type(node, "map"), _call("@in", key, node)]
        tests = steps + tests
    if not tests:
        raise ValueError(_NO_PATH.format(function))
    whole = tests[0]
    for test in tests[1:]:
        whole = _call("_&&_", whole, test)
    return whole


_NO_PATH = '{} takes a path such as jwt.team or request.headers["x-team"]'


def _step(node: Node, function: str) -> tuple[Node, Node]:
    """Return the last key of a path, and the path before it."""
    if node.WhichOneof("expr_kind") == "select_expr" and not node.select_expr.test_only:
        return Expr(const_expr={"string_value": node.select_expr.field}), node.select_expr.operand
    call = node.call_expr
    if call.function == "_[_]" and call.args[1].const_expr.HasField("string_value"):
        return call.args[1], call.args[0]
    raise ValueError(_NO_PATH.format(function))


def _contains_ip(node: Node) -> Node:
    call = node.call_expr
    network = call.target.call_expr
    if network.function != "cidr" or not network.args[0].const_expr.HasField("string_value"):
        msg = 'containsIP is asked of a network in quotes: cidr("10.0.0.0/8").containsIP(source.address)'
        raise ValueError(msg)
    (address,) = call.args
    if address.call_expr.function == "ip":
        (address,) = address.call_expr.args
    text = network.args[0].const_expr.string_value
    try:
        read_network(text)
    except ValueError as error:
        msg = f"{text} is no network: {error}"
        raise ValueError(msg) from None
    return _call("inNetwork", network.args[0], address)


def _is_of_type(node: Node, name: str) -> Node:
    return _call("_==_", _call("type", node), Expr(ident_expr=Expr.Ident(name=name)))


def _call(function: str, *args: Node) -> Node:
    return Expr(call_expr=Expr.Call(function=function, args=args))


def _if(condition: Node, then: Node, otherwise: Node) -> Node:
    return _call("_?_:_", condition, then, otherwise)


_REWRITES: dict[str, Callable[[Node], Node]] = {
    "contains": _contains,
    "default": _default,
    "coalesce": _coalesce,
    "containsIP": _contains_ip,
}

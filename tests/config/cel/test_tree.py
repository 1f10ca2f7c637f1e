import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.config.cel.compile import compile_expression
from authz.config.cel.tree import literal_key, names_equal_to, nodes, offset, parse, position
from tests.config.cel.test_compile import F, value

PINNED = [
    ('mcp.tool.name == "a"', {"a"}),
    ('"a" == mcp.tool.name', {"a"}),
    ('mcp.tool.name in ["a", "b"]', {"a", "b"}),
    ("mcp.tool.name in []", set()),
    ('mcp.tool.name == "a" && jwt.x', {"a"}),
    ('jwt.x && mcp.tool.name == "a" && jwt.y', {"a"}),
    ('mcp.tool.name == "a" || mcp.tool.name == "b"', {"a", "b"}),
    ('mcp.tool.name == "a" && mcp.tool.name == "b"', set()),
    ('(mcp.tool.name == "a" || mcp.tool.name in ["b"]) && jwt.x', {"a", "b"}),
    ('mcp["tool"]["name"] == "a"', None),
    ('mcp.tool.name == "a" || jwt.x', None),
    ('mcp.tool.name != "a"', None),
    ('!(mcp.tool.name == "a")', None),
    ('mcp.tool.name.startsWith("a")', None),
    ("mcp.tool.name == client", None),
    ("mcp.tool.name in roles", None),
    ('mcp.tool.name in ["a", client]', None),
    ('mcp.prompt.name == "a"', None),
    ('jwt.x ? mcp.tool.name == "a" : mcp.tool.name == "b"', None),
    ('["a"].exists(x, mcp.tool.name == x)', None),
    ('["a"].exists(mcp, mcp.tool.name == "a")', None),
    ('{"a": 1}["a"] == 1', None),
    ("true", None),
]


@pytest.mark.parametrize(("text", "expected"), PINNED)
def test_the_names_that_an_expression_pins_are_read_from_its_tree(text, expected):
    assert (None if expected is None else frozenset(expected)) == names_equal_to(text, "mcp.tool.name")


LEAVES = st.sampled_from(
    [
        'mcp.tool.name == "a"',
        '"b" == mcp.tool.name',
        'mcp.tool.name in ["a", "c"]',
        'mcp.tool.name != "a"',
        'mcp.tool.name.startsWith("a")',
        "jwt.yes",
        "jwt.no",
        "jwt.missing",
        "mcp.tool.name == jwt.name",
        "true",
    ],
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda part: f"!({part})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} ? {parts[1]} : {parts[2]})"),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_where_an_expression_is_true_the_name_is_among_those_it_pins_and_for_others_it_is_false(text):
    pinned = names_equal_to(text, "mcp.tool.name")
    expression = compile_expression(text)
    jwt = {"yes": True, "no": False, "name": "c"}

    for name in ("a", "b", "c", "ab", ""):
        mcp = {"tool": {"name": name}}
        outcome = value(expression, mcp=mcp, jwt=jwt)
        assert outcome is F or pinned is None or name in pinned


@pytest.mark.parametrize(
    ("text", "path", "key"),
    [
        ("jwt.a", "jwt", "a"),
        ('jwt["a"]', "jwt", "a"),
        ('request.headers["x-y"]', "request.headers", "x-y"),
        ("jwt[client]", "jwt", None),
        ("jwt.a.b", "jwt", None),
        ("args.a", "jwt", None),
    ],
)
def test_a_literal_key_is_read_from_a_field_or_an_index(text, path, key):
    assert key == literal_key(parse(text).expr, path)


@pytest.mark.parametrize(
    ("text", "place", "where"),
    [("a && b", 2, (1, 3)), ("'é' == a\n  && b", 11, (2, 3)), ("a.b", 1, (1, 2))],
)
def test_a_node_stands_at_its_operator(text, place, where):
    parsed = parse(text)

    assert (place, where) == (offset(parsed, parsed.expr), position(parsed, parsed.expr))


def test_every_node_is_met_and_a_parent_before_its_children():
    kinds = [node.WhichOneof("expr_kind") for node in nodes(parse('{"a": [jwt.x]}.a == f(1)').expr)]

    assert "call_expr" == kinds[0]
    assert {"call_expr", "struct_expr", "list_expr", "select_expr", "ident_expr", "const_expr"} == set(kinds)


def test_compiling_does_not_change_the_shared_tree():
    text = 'roles.contains("x")'
    before = str(parse(text))
    compile_expression(text)

    assert before == str(parse(text))

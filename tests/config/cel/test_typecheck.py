import pytest

from authz.config.cel.compile import compile_expression
from authz.config.cel.tree import parse
from authz.config.cel.typecheck import ExpressionError, check_boolean, checked

BAD = [
    # text, line, column, message
    ("clinet == 1", 1, 1, "undeclared reference to 'clinet'"),
    ('mcp.tool.nam == "x"', 1, 9, "undeclared reference to 'mcp.tool.nam'"),
    ('request.header["x"] == "y"', 1, 8, "undeclared reference to 'request.header'"),
    ("has(mcp.tool.nam)", 1, 4, "undeclared reference to 'mcp.tool.nam'"),
    ('true &&\n  foo == "x"', 2, 3, "undeclared reference to 'foo'"),
    ('"é" == foo', 1, 8, "undeclared reference to 'foo'"),
    ("foo(1)", 1, 4, "there is no function foo"),
    ('client.contains("a", "b")', 1, 16, "undeclared reference to 'contains'"),
    ("client == 5", 1, 8, "found no matching overload for '_==_' applied to '(string, int)'"),
    ("size(roles)", 1, 1, "is of type int, a condition must be true or false"),
    ('"true"', 1, 1, "is of type string, a condition must be true or false"),
    ("roles", 1, 1, "is of type list<string>, a condition must be true or false"),
    (".client == 'cli'", 1, 2, "a name begins with a letter: write client"),
    ("(", 1, 2, "Syntax error: mismatched input '<EOF>'"),
    ("", 1, 1, "Syntax error: mismatched input '<EOF>'"),
    ("client = 'cli'", 1, 8, "Syntax error: token recognition error at: '= '"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), BAD)
def test_a_mistake_is_told_with_its_line_and_column(text, line, column, message):
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text)

    assert (line, column) == (caught.value.line, caught.value.column)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("depth", [40, 400, 4000])
def test_a_deep_expression_is_refused_and_does_not_end_the_process(depth):
    with pytest.raises(ExpressionError, match=r"^Expression recursion limit exceeded\. limit: 32$") as caught:
        compile_expression("[" * depth + "]" * depth + " == []")

    assert (1, 1) == (caught.value.line, caught.value.column)


@pytest.mark.parametrize(
    ("text", "type_"),
    [("1 + 1", "INT"), ("client", "STRING"), ("roles", "LIST<STRING>"), ("true", "BOOL"), ("jwt.x", "DYN")],
)
def test_the_type_of_a_text_is_known_before_it_is_evaluated(text, type_):
    assert type_ == checked(text).name().upper()


@pytest.mark.parametrize("text", ["has(mcp.tool.name)", "jwt.x", "true", 'jwt.x.contains("a")'])
def test_what_may_be_true_or_false_is_a_condition(text):
    assert check_boolean(checked(text), parse(text).expr) is None

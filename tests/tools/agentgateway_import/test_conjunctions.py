import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.tools.agentgateway_import.conjunctions import split


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a", ["a"]),
        ("a && b", ["a", "b"]),
        ("a && b || c", ["a && b || c"]),
        ("a && (b || c)", ["a", "(b || c)"]),
        ("a ? b && c : d", ["a ? b && c : d"]),
        ('a == "&&" && b', ['a == "&&"', "b"]),
        (r"""a == '\'&&' && b""", [r"""a == '\'&&'""", "b"]),
        (r"""a == r'\d&&' && b""", [r"""a == r'\d&&'""", "b"]),
        ("(a && b)", ["(a && b)"]),
        ("(a && b) && c", ["(a && b)", "c"]),
        ('a == "//" && b // "', ['a == "//"', "b"]),
        ('a == """x" && y""" && b', ['a == """x" && y"""', "b"]),
        ("a // x && y\n && b", ["a", "b"]),
        ("f([a && b, c]) && {d: e || f}[g]", ["f([a && b, c])", "{d: e || f}[g]"]),
    ],
)
def test_an_expression_is_taken_apart_at_its_outer_conjunctions_only(text, pieces):
    assert pieces == split(text)


WORDS = st.sampled_from(
    ["jwt.ok", '"&&" in jwt', "(jwt.a || jwt.b)", "jwt['//x']", "[true && false][0]", "!jwt.ok"]
)


@given(st.lists(WORDS, min_size=1, max_size=6))
def test_whatever_is_joined_is_taken_apart_again(pieces):
    assert pieces == split(" && ".join(pieces))

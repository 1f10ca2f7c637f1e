"""Which lists of request headers a preflight may ask for."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.config.preflight import expressions
from authz.config.settings import Cors

TOKEN = "abcmtx-_.!#$%&'+^`|~*09"


def allows(names, asked):
    return all(re.fullmatch(expression, asked) for expression in expressions(names))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("authorization,content-type,mcp-param-user_id,traceparent", True),
        ("authorization, content-type", True),
        ("mcp-param-a", True),
        ("mcp-param-", False),
        ("authorization,x-evil", False),
        ("x-evil,mcp-param-a", False),
        ("authorizatio", False),
        ("authorization-x", False),
        ("mcp-methods", False),
        ("a", False),
        ("mcp-param-a b", False),
        ("mcp-param-a,,", False),
        ("", False),
    ],
)
def test_a_preflight_may_ask_for_what_mcp_needs_and_its_parameters_alone(asked, expected):
    assert expected is allows(Cors().allow_headers, asked)


NAMES = st.text(TOKEN, min_size=1, max_size=6)


@given(
    st.lists(NAMES.map(lambda name: name.rstrip("*") or "a"), min_size=1, max_size=6),
    st.lists(NAMES, min_size=1),
)
def test_a_list_is_allowed_exactly_if_each_of_its_names_is(names, asked):
    listed = [name.replace("*", "") or "a" for name in names]
    listed[0] += "*"

    def known(name):
        return name in listed[1:] or (name.startswith(listed[0][:-1]) and len(name) >= len(listed[0]))

    assert all(map(known, asked)) is allows(listed, ",".join(asked))


def test_names_that_envoy_could_not_compile_are_refused_with_a_cure():
    with pytest.raises(ValueError, match=r"begin with x .* use a pattern"):
        expressions([f"x-header-number-{number}" for number in range(10)])

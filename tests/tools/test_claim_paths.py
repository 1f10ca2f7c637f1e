"""Claims by their path, and what an operator is told of a token that has them elsewhere."""

import pytest

from authz.tools.claim_paths import absent_claims, put, word_lists, written
from tests.support.core import rule
from tests.support.tokens import claims, trust

KEYCLOAK = {
    "realm_access": {"roles": ["admin"]},
    "resource_access": {"mcp": {"roles": ["reader"]}},
    "aud": ["x"],
}


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ({}, ("a",), {"a": 1}),
        ({"a": 0, "b": 2}, ("a",), {"a": 1, "b": 2}),
        ({}, ("a", "b"), {"a": {"b": 1}}),
        ({"a": {"c": 3}}, ("a", "b"), {"a": {"c": 3, "b": 1}}),
    ],
)
def test_a_claim_is_put_where_its_path_leads(before, path, after):
    assert after == put(before, path, 1)


def test_the_lists_of_words_in_a_token_are_found_at_any_depth_and_an_audience_is_none_of_them():
    assert [("realm_access", "roles"), ("resource_access", "mcp", "roles")] == list(word_lists(KEYCLOAK))


@pytest.mark.parametrize(("path", "text"), [(("roles",), "roles"), (("a", "b"), "[a, b]")])
def test_a_path_is_written_as_in_the_file(path, text):
    assert text == written(path)


@pytest.mark.parametrize(
    ("rules", "terms", "lacking"),
    [
        ([rule("allow", "t", roles=["admin"])], {}, "roles (roles)"),
        ([rule("allow", "t", when='"admin" in roles')], {}, "roles (roles)"),
        ([rule("allow", "t", groups=["/a"])], {"groups_claim": ("groups",)}, "groups (groups)"),
        ([rule("allow", "t", any_scopes=["a"])], {"scopes_claim": ("scp",)}, "scp (scopes)"),
        ([], {"audience_claim": ("for", "whom")}, "[for, whom] (audience)"),
    ],
)
def test_what_rules_ask_for_and_the_token_lacks_is_named_with_what_it_has(rules, terms, lacking):
    assert [
        f"not in the token: {lacking}; lists of words there: [realm_access, roles], [resource_access, mcp, roles]"
    ] == absent_claims(claims(**KEYCLOAK), trust(**terms), rules)


def test_nothing_is_said_of_claims_that_no_rule_asks_for():
    assert [] == absent_claims(claims(scope=...), trust(), [rule("allow", "t")])

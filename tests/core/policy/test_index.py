"""The index finds what trying every rule would find."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind
from authz.core.policy.index import Index, group
from authz.core.policy.rule import Arguments
from tests.support.core import rule

TEXTS = st.text("ab*", min_size=1, max_size=5)
NAMES = st.text("ab", min_size=1, max_size=6)


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=8), NAMES)
def test_the_rules_found_for_a_name_are_those_that_select_it_each_once(selectors, name):
    rules = [rule("allow", *names, name=f"r{number}") for number, names in enumerate(selectors)]
    item = Item(Kind.TOOL, name)

    found = Index(rules).about(item)

    assert {each.name for each in rules if each.selector.selects(item)} == {each.name for each in found}
    assert len(found) == len(set(map(id, found)))


def test_a_rule_about_one_kind_is_not_found_for_another():
    index = Index([rule("allow", "echo", "e*")])

    assert () == index.about(Item(Kind.PROMPT, "echo"))


@pytest.mark.parametrize(
    ("pattern", "name"), [("tool-{}-*", "tool-1234-x"), ("*-{}", "x-1234"), ("a*-{}", "ab-1234")]
)
def test_a_name_is_compared_only_with_patterns_that_share_its_ends(pattern, name):
    rules = [rule("allow", pattern.format(number), name=f"r{number}") for number in range(1000, 3000)]
    names = Index(rules)._kinds[Kind.TOOL]

    assert ["r1234"] == [found.name for _, found in names.patterned(name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("echo", ["exact", "also", "both", "prefix", "every"]),
        ("echoes", ["both", "prefix", "every"]),
        ("e", ["prefix", "every"]),
        ("x", ["every"]),
        ("xecho", ["suffix", "every"]),
        ("", ["every"]),
    ],
)
def test_every_rule_about_a_name_is_found_once_whether_by_its_text_or_by_a_pattern(name, expected):
    rules = [
        rule("allow", "echo", name="exact"),
        rule("deny", "other", "echo", name="also"),
        rule("allow", "echo", "echo*", "e*o*", name="both"),
        rule("allow", "e*", name="prefix"),
        rule("allow", "x*o", name="suffix"),
        rule("deny", "*", name="every"),
    ]

    found = [each.name for each in Index(rules).about(Item(Kind.TOOL, name))]
    assert sorted(expected) == sorted(found)


def test_the_ends_of_a_pattern_do_not_overlap_in_the_name():
    assert () == Index([rule("allow", "aa*aa")]).about(Item(Kind.TOOL, "aaa"))


EVERY_NAME = [
    *('client != ""', 'server != ""', 'issuer != ""', "jwt.x == 1"),
    *("'a' in scopes", "'a' in roles", "'a' in groups"),
]
"""A condition for each name that follows from the caller alone."""
CACHEABLE = [
    # conditions, whether the verdict is the same for all names, whether it is for all calls of one name
    ({}, True, True),
    ({"scopes": ["a"], "roles": ["b"], "issuers": ["i"]}, True, True),
    ({"when": '"a" in roles && jwt.x == 1'}, True, True),
    ({"when": "'a' in roles && 'b' in scopes && client != '' && server != ''"}, True, True),
    ({"when": " && ".join(EVERY_NAME)}, True, True),
    ({"when": " && ".join([*EVERY_NAME, 'mcp.method != ""', "tool.readOnly"])}, False, True),
    ({"when": 'mcp.method == "tools/call"'}, False, True),
    ({"when": "tool.readOnly"}, False, True),
    ({"when": 'client != "" && mcp.method != "" && tool.readOnly'}, False, True),
    ({"when": 'request.headers["x-a"] == ""'}, False, False),
    ({"args": "args.a == 1"}, False, False),
    ({"arguments": Arguments({"a": "string"})}, False, False),
    ({"locked": object()}, False, False),
]


@pytest.mark.parametrize(("parts", "by_caller", "by_item"), CACHEABLE)
def test_a_verdict_is_remembered_only_for_what_it_does_not_depend_on(parts, by_caller, by_item):
    plain, other = rule("allow", "a"), rule("deny", "a", **parts)
    for rules in ((other,), (plain, other), (other, plain)):
        found = group(rules, ambiguous=False)

        assert (by_caller, by_item) == (found.cacheable_by_caller, found.cacheable_by_item)


@pytest.mark.parametrize("ambiguous", [True, False])
def test_rules_are_grouped_by_what_they_do_and_shadows_beside_them(ambiguous):
    rules = tuple(rule(effect, "a", name=effect) for effect in ("allow", "deny", "require"))
    shadow = rule("deny", "a", name="shadow", shadow=True)
    plain, shadowed = group(rules, ambiguous=ambiguous), group((*rules, shadow), ambiguous=ambiguous)

    assert plain.with_shadows is None
    for found, denies in (
        (plain, [rules[1]]),
        (shadowed, [rules[1]]),
        (shadowed.with_shadows, [rules[1], shadow]),
    ):
        assert ambiguous is found.ambiguous
        assert ([rules[0]], denies, [rules[2]]) == tuple(
            [each for each, _ in ordered] for ordered in (found.allows, found.denies, found.requires)
        )

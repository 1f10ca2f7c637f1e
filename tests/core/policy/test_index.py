"""The index finds what trying every rule would find."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind
from authz.core.policy.index import Index
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

"""Rules select by exact name or by pattern; a pattern is the regular expression it stands for, in linear time."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind
from authz.core.policy.rule import Arguments, DenialStyle, Effect, Groups, Misfit, Pattern, Rule, Selector
from authz.core.policy.value_schema import ValueSchema
from tests.support.work import counted

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

NAMES = st.text("ab*", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*", "", True),
        ("*", "anything", True),
        ("*_secret", "read_secret", True),
        ("*_secret", "_secret", True),
        ("*_secret", "read_secrets", False),
        ("files:*", "files:read", True),
        ("files:*", "xfiles:read", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "acb", False),
        ("a*b*b", "ab", False),
        ("aa*aa", "aaa", False),
        ("a**b", "ab", True),
        ("a.c*", "abc", False),
        ("*Echo", "echo", False),
    ],
)
def test_a_star_stands_for_any_run_of_characters_and_nothing_else_is_special(pattern, name, fits):
    assert fits is Pattern(tuple(pattern.split("*"))).matches(name)


@UNHURRIED
@given(pattern=NAMES.filter(lambda text: "*" in text), name=st.text("ab*", max_size=12))
def test_a_pattern_fits_exactly_what_its_regular_expression_fits(pattern, name):
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None

    assert expected is Pattern(tuple(pattern.split("*"))).matches(name)


def test_a_pattern_of_many_stars_is_tried_once_and_never_from_another_place():
    pattern = Pattern(("a",) * 200 + ("b", "c"))
    fits, steps = counted(lambda: pattern.matches("a" * 100_000 + "c"))

    assert not fits
    assert 3 * len(pattern.parts) > steps


@pytest.mark.parametrize("kind", Kind)
def test_a_rule_selects_only_the_kind_it_names(kind):
    selector = Selector.of({kind: ("x", "y*")})

    assert [kind] == [other for other in Kind if selector.selects(Item(other, "x"))]
    assert [kind] == [other for other in Kind if selector.selects(Item(other, "yes"))]


@pytest.mark.parametrize("kind", Kind)
def test_everything_selects_every_kind(kind):
    assert Selector.everything().selects(Item(kind, "whatever"))


def test_a_rule_that_names_nothing_selects_nothing():
    assert not any(Selector.of({}).selects(Item(kind, "*")) for kind in Kind)


def test_effects_and_styles_of_denials_are_called_by_their_words_in_the_policy_file():
    assert ["allow", "deny", "require"] == list(map(str, Effect))
    assert ["auto", "result", "jsonrpc", "http"] == list(map(str, DenialStyle))


def test_exact_names_and_patterns_stand_apart():
    selector = Selector.of({Kind.TOOL: ("a", "b*", "*")})

    assert {Kind.TOOL: frozenset({"a"})} == selector.exact
    assert {Kind.TOOL: (Pattern(("b", "")), Pattern(("", "")))} == selector.patterns


@pytest.mark.parametrize(
    ("parts", "name", "fits"),
    [
        (("", "ab", "ab", ""), "ab", False),
        (("", "ab", "ab", ""), "abab", True),
        (("", "aba", "aba", ""), "ababa", False),
        (("", "aba", "aba", ""), "abaaba", True),
        (("a", "a"), "a", False),
        (("a", "b", "b"), "ab", False),
        (("a", "b", "a"), "aba", True),
        (("ab", "b", "c"), "abc", False),
    ],
)
def test_the_parts_of_a_pattern_stand_one_behind_the_other_and_share_no_character(parts, name, fits):
    assert fits is Pattern(parts).matches(name)


def test_a_rule_is_applied_unless_it_says_that_it_is_a_shadow():
    plain = Rule(name="r", effect=Effect.ALLOW, selector=Selector.everything())

    assert (False, None, None) == (plain.shadow, plain.denial, plain.hide)
    assert (frozenset(), frozenset(), frozenset()) == (plain.scopes, plain.any_scopes, plain.roles)


READS, READS_NOT = ValueSchema("x", "string", reads_text=True), ValueSchema("x", "string")


@pytest.mark.parametrize(
    ("types", "reads"),
    [
        ({}, False),
        ({"a": "string"}, False),
        ({"a": READS_NOT}, False),
        ({"a": READS}, True),
        ({"a": READS, "b": READS_NOT, "c": "string"}, True),
        ({"a": "string", "b": READS_NOT, "c": READS}, True),
    ],
)
def test_arguments_read_text_where_one_of_them_is_matched_with_a_pattern(types, reads):
    assert reads is Arguments(types).reads_text


@pytest.mark.parametrize("names", [["a*"], ["/a/*", "b*"], ["/a", "*"], ["/a/*/b", "/c"], ["/a*/*", "/b"]])
def test_a_star_of_a_group_stands_only_behind_its_last_slash(names):
    with pytest.raises(ValueError, match=r"^a group is compared whole"):
        Groups.of(names)


def test_a_misfit_is_told_by_its_place_and_keyword():
    assert ("/a/*: type", "the arguments: required") == (
        str(Misfit("/a/*", "type")),
        str(Misfit("", "required")),
    )

"""A URI is judged only where every reading of it meets the rules that it meets as it is."""

import pytest

from authz.core.mcp.item import Item, Kind
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect
from authz.core.reasons import Reason
from tests.support.core import context, principal, rule


def resources(effect, *names, **conditions):
    return rule(effect, names={Kind.RESOURCE: names}, **conditions)


def verdict(uri, *rules):
    return Policy(rules).judge(context(principal()), Item(Kind.RESOURCE, uri)).reason


GUARDED = (resources("allow", "db:///*"), resources("deny", "db:///secret/*", name="d"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    {
        "db:///public/x": Reason.ALLOWED,
        "db:///Public/X%20y": Reason.ALLOWED,
        "db:///secrets/x": Reason.ALLOWED,
        "db:///secret/x": Reason.DENIED_BY_RULE,
        "db:///Secret/x": Reason.AMBIGUOUS_URI,
        "db:////secret/x": Reason.AMBIGUOUS_URI,
        "db:///secret%20/x": Reason.AMBIGUOUS_URI,
        "other:///Secret/x": Reason.NO_RULE,
    }.items(),
)
def test_a_reading_that_meets_a_deny_is_refused_where_the_uri_itself_would_be_allowed(uri, expected):
    assert expected is verdict(uri, *GUARDED)


@pytest.mark.parametrize("effect", [Effect.DENY, Effect.REQUIRE, Effect.ALLOW])
def test_a_reading_that_meets_another_rule_of_any_effect_is_refused(effect):
    rules = (resources("allow", "db:///*"), resources(effect, "db:///secret/*", scopes=["x"], name="other"))

    assert Reason.AMBIGUOUS_URI is verdict("db:///SECRET/x", *rules)


def test_a_reading_that_leaves_the_rule_which_allows_is_refused():
    assert Reason.AMBIGUOUS_URI is verdict("db:///a//b", resources("allow", "db:///a/*/b"))
    assert Reason.ALLOWED is verdict("db:///a/x/b", resources("allow", "db:///a/*/b"))


@pytest.mark.parametrize("tail", ["?", "?a=1", "#a", "/", ";a=1", ";a=1?b#c"])
def test_what_a_server_may_cut_off_does_not_lead_past_a_deny(tail):
    rules = (resources("allow", "https://h/*"), resources("deny", "https://h/secret", name="d"))

    assert Reason.AMBIGUOUS_URI is verdict(f"https://h/secret{tail}", *rules)
    assert Reason.ALLOWED is verdict(f"https://h/public{tail}", *rules)


def test_queries_may_tell_resources_apart():
    rules = (resources("allow", "db:///q?x=1*"), resources("deny", "db:///q?x=2*", name="d"))

    assert (Reason.ALLOWED, Reason.DENIED_BY_RULE) == (
        verdict("db:///q?x=1", *rules),
        verdict("db:///q?x=2", *rules),
    )


@pytest.mark.parametrize(
    "name", ["file:///a%20b/*", "file:///Docs/*.PDF", "*", "greeting://*", "file:///C:/*", "x:///a?b=%2F*"]
)
def test_an_ordinary_uri_meets_in_its_reading_the_rule_that_it_meets_as_it_is(name):
    uri = name.replace("*", "z")

    assert Reason.ALLOWED is verdict(uri, resources("allow", name), resources("deny", "no://*", name="d"))


@pytest.mark.parametrize("name", ["db:///%73ecret/*", "DB:///secret/*", "db:///a/../secret/*"])
def test_a_deny_in_another_spelling_still_guards_or_is_met_by_nothing(name):
    """A deny that is not canonical selects no URI that can be sent; its reading is what counts."""
    expected = {"db:///a/../secret/*": Reason.ALLOWED}.get(name, Reason.AMBIGUOUS_URI)

    assert expected is verdict(
        "db:///secret/x", resources("allow", "db:///*"), resources("deny", name, name="d")
    )


def test_a_shadow_rule_makes_no_uri_ambiguous():
    rules = (GUARDED[0], resources("deny", "db:///secret/*", name="d", shadow=True))

    assert Reason.ALLOWED is verdict("db:///Secret/x", *rules)


def test_a_uri_that_is_refused_anyway_keeps_its_reason_however_it_could_be_read():
    rules = (resources("allow", "db:///*", scopes=["s"]), GUARDED[1])

    assert Reason.MISSING_SCOPE is verdict("db:///Secret/x", *rules)


def test_a_uri_that_a_shadow_rule_selects_is_judged_as_without_it():
    rules = (GUARDED[0], resources("deny", "db:///secret/*", name="d", shadow=True))

    assert Reason.ALLOWED is verdict("db:///secret/x", *rules)


def test_what_is_left_without_a_query_may_be_allowed_by_another_rule():
    rules = (resources("allow", "https://h/*"), resources("allow", "https://h/secret", name="other"))

    assert Reason.ALLOWED is verdict("https://h/secret?a", *rules)


def test_what_is_left_without_a_query_may_meet_the_deny_that_was_judged_already():
    rules = (resources("allow", "https://h/*"), resources("deny", "https://h/*", roles=["guest"], name="d"))

    assert Reason.ALLOWED is verdict("https://h/a?b", *rules)


def test_a_policy_without_rules_that_is_open_refuses_what_is_not_canonical():
    policy, who = Policy((), open_without_allows=True), context(principal())

    assert Reason.ALLOWED is policy.judge(who, Item(Kind.RESOURCE, "db:///x")).reason
    assert Reason.AMBIGUOUS_URI is policy.judge(who, Item(Kind.RESOURCE, "db:///%78")).reason


def test_names_of_other_kinds_are_no_uris():
    policy = Policy((rule("allow", "*"), rule("deny", "secret", name="d")))

    assert Reason.ALLOWED is policy.judge(context(principal()), Item(Kind.TOOL, "Secret")).reason

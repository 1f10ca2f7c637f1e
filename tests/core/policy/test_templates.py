"""A template is listed, and its completion allowed, if one of its expansions may be read."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind, Template, resource_or_template
from authz.core.mcp.uri_template import parse
from authz.core.policy.expansions import Glob, Steps, example
from authz.core.policy.policy import Policy
from authz.core.policy.templates import Templates
from authz.core.reasons import Reason
from tests.support.core import context, principal, rule


def policy(*rules):
    return Policy(rules, templates=Templates(rules))


def allow(*uris, **asked):
    return rule("allow", name=f"allow {uris}", names={Kind.RESOURCE: uris}, **asked)


def deny(*uris, **asked):
    return rule("deny", name=f"deny {uris}", names={Kind.RESOURCE: uris}, **asked)


def judged(rules, text, who=None):
    return policy(*rules).judge(context(who or principal(), arguments=None), Template(Kind.RESOURCE, text))


def listed(rules, text, who=None):
    return judged(rules, text, who).reason is Reason.ALLOWED


@pytest.mark.parametrize(
    ("template", "pattern", "expected"),
    [
        ("file://dir/{path*}", "file://dir/public/*", True),
        ("file://dir/{path*}", "file://other/*", False),
        ("file://dir/{+path}", "file://dir/public/*", True),
        ("file://dir/{name}", "file://dir/*.txt", True),
        ("file://dir/{name}", "file://dir/public/*", False),
        ("file://dir/{name}.txt", "*.txt", True),
        ("file://dir/{name}.txt", "*.md", False),
        ("file://dir/{name}", "file://dir/one", True),
        ("file://dir{/name}", "file://dir/one", True),
        ("file://dir{/name}", "file://dir/a/b", False),
        ("file://dir{/path*}", "file://dir/a/b", True),
        ("file://dir{/a,b}", "file://dir/a/b", True),
        ("db:///t{.format}", "db:///t.csv", True),
        ("db:///t{.format}", "db:///tcsv", False),
        ("db:///t{;version}", "db:///t;version=1", True),
        ("db:///t{?q,page}", "db:///t?q=*", True),
        ("db:///t{?q}", "db:///t", True),
        ("db:///t?a=1{&q}", "db:///t?a=1&q=x", True),
        ("db:///t{#part}", "db:///t#*", True),
        ("db:///{table}/{row}", "db:///*/1", True),
        ("db:///{table:3}", "db:///abc", True),
        ("db:///{a.b}", "db:///x", True),
    ],
)
def test_it_is_listed_if_a_pattern_can_meet_an_expansion(template, pattern, expected):
    assert expected is listed([allow(pattern)], template)


@pytest.mark.parametrize(
    "template",
    [
        "db:///{=x}",
        "db:///{|x}",
        "db:///{}",
        "db:///{x",
        "db:///x}",
        "db:///{a b}",
        "db:///{{x}}",
        "db:///{x:0}",
    ],
)
def test_what_the_rfc_does_not_know_is_not_looked_into(template):
    assert parse(template) is None
    assert not listed([allow("db:///public/*")], template)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([allow("db:///*"), deny("db:///secret/*")], True),
        ([allow("db:///*"), deny("db:///*")], False),
        ([allow("db:///public/*"), deny("db:///pub*")], False),
        ([allow("db:///public/*"), deny("*c/a*", "*c/b*")], True),
        ([allow("db:///one", "db:///two"), deny("db:///one")], True),
        ([allow("db:///one", "db:///two"), deny("db:///one", "*two")], False),
        ([allow("db:///*"), deny("db:///*", scopes=["s"])], True),
        ([allow("db:///a*"), deny("*", scopes=["s"]), deny("db:///a*")], False),
        ([allow("db:///a*"), deny("*", scopes=["s"]), deny("db:///ab*")], True),
        ([], False),
    ],
)
def test_denies_hide_it_if_together_they_meet_every_expansion_that_is_allowed(rules, expected):
    assert expected is listed(rules, "db:///{path*}")


def test_a_rule_may_name_the_template_itself():
    text = "db:///{path*}"

    assert listed([allow(text)], text)
    assert not listed([allow("db:///*"), deny(text)], text)


def test_what_is_missing_is_what_the_closest_expansion_lacks():
    verdict = judged([allow("db:///public/*", scopes=["db:read"])], "db:///{path*}")

    assert (Reason.MISSING_SCOPE, ("db:read",)) == (verdict.reason, verdict.scopes)
    assert Reason.NO_RULE is judged([allow("file:///*")], "db:///{path*}").reason


def test_to_read_a_templates_text_is_to_read_that_text_alone():
    rules = policy(allow("db:///public/*"))
    read = Item(Kind.RESOURCE, "db:///{path*}")

    assert Reason.NO_RULE is rules.judge(context(principal()), read).reason
    assert read != Template(Kind.RESOURCE, "db:///{path*}")
    assert Item(Kind.RESOURCE, "db:///x") == resource_or_template("db:///x")


def test_a_template_that_would_cost_much_is_not_listed_and_costs_little():
    text = "db:///" + "{+x}b" * 32
    patterns = (f"db:///*{'b*c' * 20}{number}" for number in range(50))
    began = Steps(1_000_000)
    for pattern in patterns:
        bounded = Steps(5000)
        example(parse(text), Glob(tuple(pattern.split("*"))), [], bounded)
        began.left -= 5000 - max(bounded.left, 0)

    assert began.left >= 1_000_000 - 50 * 5000
    assert not listed([allow("db:///*" + "b*c" * 200)], "db:///" + "a{+x}" * 33)
    assert not listed([allow("db:///a*")], "db:///{x}" + "a" * 1024)


def test_a_list_of_denies_hides_what_it_meets_alone():
    rules = (deny("db:///secret/*"), deny("file:///*"))
    open_policy = Policy(rules, open_without_allows=True, templates=Templates(rules))
    reader = context(principal(), arguments=None)

    assert [True, False, False] == [
        open_policy.judge(reader, Template(Kind.RESOURCE, text)).reason is Reason.ALLOWED
        for text in ("db:///{path*}", "file:///{path*}", "db:///secret/{row}")
    ]


PIECES = ("a", "b", "/", "ab", "a/", "/b")
EXPRESSIONS = ("{x}", "{x*}", "{+x}", "{/x}", "{/x*}", "{.x}", "{x,y}", "{?x}")
VALUES = {
    "{x}": ("a", "b", "ab", "ba"),
    "{x*}": ("a", "a/b", "b/a/b"),
    "{+x}": ("a", "/a", "a/b"),
    "{/x}": ("", "/a", "/ab"),
    "{/x*}": ("", "/a", "/a/b"),
    "{.x}": ("", ".a", ".ab"),
    "{x,y}": ("a", "a,b"),
    "{?x}": ("", "?x=a"),
}
TEMPLATES = st.lists(st.sampled_from((*PIECES, *EXPRESSIONS)), min_size=1, max_size=5).filter(
    lambda parts: any(part in VALUES for part in parts)
)
PATTERNS = st.lists(st.sampled_from((*PIECES, "*", "*", ".", "?x=")), min_size=1, max_size=5).map(
    lambda parts: "s:" + "".join(parts)
)


@given(TEMPLATES, st.lists(PATTERNS, min_size=1, max_size=3), st.lists(PATTERNS, max_size=3), st.data())
@pytest.mark.requirement("protocol.templates")
def test_whenever_an_expansion_is_readable_the_template_is_listed(parts, allows, denies, data):
    rules = [allow(*allows), *(deny(uri) for uri in denies)]
    expansion = "s:" + "".join(
        data.draw(st.sampled_from(VALUES[part])) if part in VALUES else part for part in parts
    )
    verdict = policy(*rules).judge(context(principal(), arguments=None), Item(Kind.RESOURCE, expansion))

    assert verdict.reason is not Reason.ALLOWED or listed(rules, "s:" + "".join(parts))


@given(TEMPLATES, st.lists(PATTERNS, min_size=1, max_size=3), st.lists(PATTERNS, max_size=3))
def test_a_template_is_listed_for_the_sake_of_something_readable(parts, allows, denies):
    rules = policy(allow(*allows), *(deny(uri) for uri in denies))
    reader = context(principal(), arguments=None)
    verdict, example = rules.judge_template(reader, Template(Kind.RESOURCE, "s:" + "".join(parts)))

    assert verdict == rules.judge(reader, example)


@given(TEMPLATES, st.lists(PATTERNS, min_size=1, max_size=3))
def test_a_deny_that_meets_every_expansion_hides_the_template(parts, allows):
    everything = "s:" + re.sub(r"\*+", "*", "".join("*" if part in VALUES else part for part in parts))

    assert not listed([allow(*allows), deny(everything)], "s:" + "".join(parts))

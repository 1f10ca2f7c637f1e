"""An explanation shows every candidate with every part, says what the policy says, and names what stands in the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.mcp.item import Item, Kind
from authz.core.policy.condition import CONDITIONS, ConditionName
from authz.core.policy.explain import RuleOutcome, explain
from authz.core.policy.expression import Truth
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Arguments
from authz.core.reasons import Reason
from tests.support.core import changed, context, principal, rule, tool

SECRET = "argument-value-4711"


def explained(rules, who=None, arguments=None, name="echo", **options):
    """Explain a call of a tool; arguments `...` ask for a place in a list."""
    given_arguments = None if arguments is ... else (arguments or {})
    return explain(Policy(tuple(rules), **options), context(who, given_arguments), tool(name))


def outcomes(explanation):
    return {seen.rule.name: seen.outcome for seen in explanation.rules}


def parts(explanation):
    (seen,) = explanation.rules
    return {part.part: (part.truth, part.missing) for part in seen.parts}


def blocking(explanation):
    """Give each change as rule, whether it must hold, and its parts."""
    return [
        (change.rule and change.rule.name, change.hold, [part.part for part in change.parts])
        for change in explanation.changes
    ]


@pytest.mark.parametrize(
    ("given_parts", "part", "truth", "missing"),
    [
        ({"scopes": ["a", "b", "c"]}, ConditionName.SCOPES, Truth.FALSE, ("b", "c")),
        ({"scopes": ["a"]}, ConditionName.SCOPES, Truth.TRUE, ()),
        ({"any_scopes": ["c", "b"]}, ConditionName.ANY_SCOPES, Truth.FALSE, ("b", "c")),
        ({"any_scopes": ["a", "b"]}, ConditionName.ANY_SCOPES, Truth.TRUE, ()),
        ({"roles": ["y", "x"]}, ConditionName.ROLES, Truth.FALSE, ("x", "y")),
        ({"roles": ["x", "r"]}, ConditionName.ROLES, Truth.TRUE, ()),
        ({"when": '"r" in roles'}, ConditionName.WHEN, Truth.TRUE, ()),
        ({"when": "false"}, ConditionName.WHEN, Truth.FALSE, ()),
        ({"when": "jwt.nothing"}, ConditionName.WHEN, Truth.ERROR, ()),
        ({"args": "args.n == 1"}, ConditionName.ARGS, Truth.TRUE, ()),
        ({"args": "args.n == 2"}, ConditionName.ARGS, Truth.FALSE, ()),
        ({"args": "args.x == 2"}, ConditionName.ARGS, Truth.ERROR, ()),
        ({"arguments": Arguments({"n": "int"})}, ConditionName.ARGUMENTS, Truth.TRUE, ()),
        (
            {"arguments": Arguments({"n": "string", "m": "int"})},
            ConditionName.ARGUMENTS,
            Truth.ERROR,
            ("n", "m"),
        ),
        ({"arguments": Arguments({"m": "int?"}, extra=False)}, ConditionName.ARGUMENTS, Truth.ERROR, ("n",)),
    ],
)
def test_each_part_is_shown_with_its_value_and_with_what_is_missing(given_parts, part, truth, missing):
    explanation = explained([rule("allow", "echo", **given_parts)], principal("a", roles=("r",)), {"n": 1})

    assert {part: (truth, missing)} == parts(explanation)


def test_parts_that_judging_never_reaches_are_shown_too():
    explanation = explained([rule("allow", "echo", when="false", roles=["x"], scopes=["a"])])

    assert [ConditionName.WHEN, ConditionName.ROLES, ConditionName.SCOPES] == list(parts(explanation))
    assert blocking(explanation) == [
        ("allow-rule", True, [ConditionName.WHEN, ConditionName.ROLES, ConditionName.SCOPES])
    ]


def test_a_part_about_arguments_has_no_value_for_a_place_in_a_list():
    rules = [rule("allow", "echo", args="args.n == 1", arguments=Arguments({"n": "int"}))]
    explanation = explained(rules, arguments=...)

    assert {ConditionName.ARGUMENTS: (None, ()), ConditionName.ARGS: (None, ())} == parts(explanation)
    assert (Reason.ALLOWED, True) == (explanation.verdict.reason, explanation.listed)


def test_what_is_listed_although_this_call_is_denied_is_said():
    explanation = explained([rule("allow", "echo", args="args.n == 1")], arguments={"n": 2})

    assert (Reason.ARGS_NOT_ALLOWED, True) == (explanation.verdict.reason, explanation.listed)


def test_a_place_in_a_list_is_judged_by_the_method_that_uses_the_item():
    policy = Policy((rule("allow", names={Kind.PROMPT: ("p",)}, when='mcp.method == "prompts/get"'),))
    asked = changed(context(), method="completion/complete")
    explanation = explain(policy, asked, Item(Kind.PROMPT, "p"))

    assert (Reason.NO_RULE, True) == (explanation.verdict.reason, explanation.listed)


def test_every_candidate_is_there_with_what_it_says_alone_and_no_other_rule_is():
    rules = [
        rule("deny", "echo", name="holds"),
        rule("deny", "*", name="fails", when="jwt.nothing"),
        rule("deny", "e*", name="silent", when="false"),
        rule("require", "echo", name="lacking", scopes=["a"]),
        rule("require", "echo", name="held", when="true"),
        rule("allow", "echo", name="allows"),
        rule("allow", "*o", name="not-held", roles=["x"]),
        rule("deny", "echo", name="shadow", shadow=True),
        rule("allow", "other", name="other"),
    ]
    expected = {
        "holds": RuleOutcome.DENIES,
        "fails": RuleOutcome.FAILS,
        "silent": RuleOutcome.SILENT,
        "shadow": RuleOutcome.DENIES,
        "lacking": RuleOutcome.LACKING,
        "held": RuleOutcome.HOLDS,
        "allows": RuleOutcome.ALLOWS,
        "not-held": RuleOutcome.LACKING,
    }

    assert expected == outcomes(explained(rules))


def test_the_rule_that_decided_is_marked():
    rules = [rule("allow", "echo", name="a", scopes=["x"]), rule("allow", "echo", name="b")]

    assert {"a": False, "b": True} == {seen.rule.name: seen.decided for seen in explained(rules).rules}


def test_a_shadow_rule_is_shown_and_stands_in_nobodys_way():
    rules = [rule("deny", "echo", name="s", shadow=True), rule("allow", "echo", scopes=["a"])]
    explanation = explained(rules)

    assert [True, False] == [seen.rule.shadow for seen in explanation.rules]
    assert [("allow-rule", True, [ConditionName.SCOPES])] == blocking(explanation)
    assert ("s",) == explained(rules, principal("a")).verdict.shadows


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], [(None, True, [])]),
        ([rule("deny", "echo")], [("deny-rule", False, []), (None, True, [])]),
        (
            [rule("deny", "echo", when="true", args="true"), rule("allow", "echo")],
            [("deny-rule", False, [ConditionName.WHEN, ConditionName.ARGS])],
        ),
        (
            [rule("require", "echo", scopes=["a"], when="true"), rule("allow", "echo")],
            [("require-rule", True, [ConditionName.SCOPES])],
        ),
        (
            [
                rule("allow", "echo", name="far", when="false"),
                rule("allow", "echo", name="near", scopes=["a"]),
            ],
            [("near", True, [ConditionName.SCOPES])],
        ),
    ],
)
def test_what_would_have_to_change_for_an_allow_is_named(rules, expected):
    assert expected == blocking(explained(rules))


def test_an_open_empty_policy_needs_no_change():
    explanation = explained([], open_without_allows=True)

    assert (Reason.ALLOWED, ()) == (explanation.verdict.reason, explanation.changes)


def test_a_deny_that_cannot_be_evaluated_is_no_condition_to_be_met_but_says_why_it_failed():
    rules = [
        rule("allow", "echo"),
        rule("deny", "echo", name="guard", roles=["r"], args='args.filename.startsWith("/etc")'),
    ]
    explanation = explained(rules, principal(roles=("r",)), {"n": 1})
    (change,) = explanation.changes

    assert (Reason.RULE_ERROR, "guard", True, False) == (
        explanation.verdict.reason,
        change.rule.name,
        change.fails,
        change.hold,
    )
    assert [(ConditionName.ARGS, "no such key: filename")] == [
        (part.part, part.failure) for part in change.parts
    ]


def test_where_rules_only_deny_the_denial_alone_must_go():
    explanation = explained([rule("deny", "echo", name="ban")], open_without_allows=True)

    assert [("ban", False, [])] == blocking(explanation)


def test_no_value_of_an_argument_is_in_an_explanation():
    rules = [rule("allow", "echo", args="args.n == 1", arguments=Arguments({"n": "int"}, extra=False))]

    assert SECRET not in repr(explained(rules, arguments={"n": SECRET, "more": SECRET}))


def test_every_part_that_a_rule_can_have_is_an_attribute_of_rules():
    assert {part.value for part in CONDITIONS} <= set(rule("allow").__slots__)


GRANTS = st.sets(st.sampled_from("abc")).map(sorted)
CONDITION = st.sampled_from([None, "true", "false", "jwt.nothing", '"a" in scopes'])
RULES = st.lists(
    st.builds(
        lambda effect, **given_parts: (effect, given_parts),
        st.sampled_from(["allow", "allow", "deny", "require"]),
        scopes=GRANTS,
        any_scopes=GRANTS,
        roles=GRANTS,
        when=CONDITION,
        args=st.sampled_from([None, "args.n == 1", "args.x == 1"]),
        shadow=st.booleans(),
    ),
    max_size=5,
)


def built(drawn):
    return [rule(effect, "echo", name=f"r{at}", **more) for at, (effect, more) in enumerate(drawn)]


@given(RULES, GRANTS, GRANTS, st.sampled_from([None, {}, {"n": 1}]), st.booleans())
def test_the_verdict_is_the_policys_own_and_something_must_change_exactly_when_it_is_a_denial(
    drawn, scopes, roles, arguments, is_open
):
    policy = Policy(tuple(built(drawn)), is_open)
    asked = context(principal(*scopes, roles=tuple(roles)), arguments)
    explanation = explain(policy, asked, tool("echo"))

    assert policy.judge(asked, tool("echo")) == explanation.verdict
    assert (explanation.verdict.reason is Reason.ALLOWED) == (explanation.changes == ())


@given(RULES, GRANTS, GRANTS)
def test_whoever_removes_what_is_in_the_way_and_grants_what_is_missing_gets_an_allow(drawn, scopes, roles):
    rules = built(drawn)
    who = principal(*scopes, roles=tuple(roles))
    changes = explained(rules, who, {"n": 1}).changes
    gone = {change.rule.name for change in changes if change.rule is not None}
    added = [rule("allow", "echo", name="added")] if any(change.hold for change in changes) else []
    mended = [each for each in rules if each.name not in gone] + added

    assert Reason.ALLOWED is explained(mended, who, {"n": 1}).verdict.reason

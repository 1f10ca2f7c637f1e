"""Promises of a policy, for any rules, any caller and any call: who is listed, who is allowed, and what changes neither.

The rules are drawn so that every effect meets every condition, with values that are true, false, an error and no
truth value at all. The oracle is a plain loop over all rules, without an index and without a second thought.
"""

from fnmatch import fnmatchcase

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.core.mcp.item import Kind
from authz.core.policy.expression import Truth
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect
from authz.core.reasons import Reason
from tests.support.core import changed, context, principal, rule, tool

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A machine that is busy with other tests is no failure."""

SCOPES, ROLES = ["s1", "s2", "s3"], ["r1", "r2"]
TOOLS = ["a", "b", "ab", "abc"]
WHENS = [
    "true",
    "false",
    "jwt.flag",
    "jwt.n",
    "jwt.missing",
    "jwt.n == 1",
    '"r1" in roles',
    '"s1" in scopes',
    'mcp.tool.name == "a"',
    'mcp.tool.name == "a" || jwt.missing',
]
ARGS = [
    "true",
    "false",
    "args.n == 1",
    "args.n",
    "has(args.n)",
    "args.n > jwt.n",
    'mcp.tool.name == "a" || args.n == 1',
]


def some(values):
    return st.lists(st.sampled_from(values), max_size=2, unique=True)


def drawn_rules(effects=tuple(Effect), **fixed):
    parts = {
        "tools": st.lists(
            st.sampled_from([*TOOLS, "a*", "*b", "*", "a*c"]), min_size=1, max_size=2, unique=True
        ),
        "scopes": some(SCOPES),
        "any_scopes": some(SCOPES),
        "roles": some(ROLES),
        "when": st.none() | st.sampled_from(WHENS),
        "args": st.none() | st.sampled_from(ARGS),
        **fixed,
    }
    return st.builds(
        lambda effect, tools, **rest: rule(effect, *tools, **rest), st.sampled_from(effects), **parts
    )


def named(rules):
    return tuple(changed(each, name=f"rule-{at}") for at, each in enumerate(rules))


RULES = st.lists(drawn_rules(), max_size=6).map(named)
CALLERS = st.builds(
    lambda scopes, roles, claims: principal(*scopes, roles=tuple(roles), **claims),
    st.lists(st.sampled_from(SCOPES), unique=True),
    some(ROLES),
    st.fixed_dictionaries({}, optional={"n": st.sampled_from([0, 1]), "flag": st.booleans()}),
)
ARGUMENTS = st.fixed_dictionaries({}, optional={"n": st.sampled_from([0, 1, 2, "x", True, None])})
NAMES = st.sampled_from(TOOLS)


def verdict(rules, who, arguments, name):
    return Policy(tuple(rules)).judge(context(who, arguments), tool(name))


def allowed(rules, who, arguments, name):
    return verdict(rules, who, arguments, name).reason is Reason.ALLOWED


def selects(each, name):
    patterns = ["*".join(pattern.parts) for pattern in each.selector.patterns[Kind.TOOL]]
    return any(fnmatchcase(name, text) for text in [*each.selector.exact[Kind.TOOL], *patterns])


def value(expression, asked, name):
    return Truth.TRUE if expression is None else asked.truth(expression, tool(name))


def grants_hold(each, who):
    any_of = not each.any_scopes or bool(each.any_scopes & set(who.scopes))
    return each.scopes <= set(who.scopes) and any_of


def role_holds(each, who):
    return not each.roles or bool(each.roles & set(who.roles))


def missing(each, who, asked, name):
    """The first condition of an allow that does not hold."""
    args = None if asked.arguments is None else each.args
    conditions = [
        (value(each.when, asked, name) is Truth.TRUE, Reason.NO_RULE),
        (role_holds(each, who), Reason.MISSING_ROLE),
        (value(args, asked, name) is Truth.TRUE, Reason.ARGS_NOT_ALLOWED),
        (grants_hold(each, who), Reason.MISSING_SCOPE),
    ]
    return next((reason for holds, reason in conditions if not holds), Reason.ALLOWED)


def denies(each, who, asked, name):
    """Whether a deny holds, fails or is silent."""
    if (
        (each.args is not None and asked.arguments is None)
        or not role_holds(each, who)
        or not grants_hold(each, who)
    ):
        return Truth.FALSE
    values = [value(each.when, asked, name), value(each.args, asked, name)]
    return next((found for found in values if found is not Truth.TRUE), Truth.TRUE)


def plain(rules, who, arguments, name):
    """Decide by looking at every rule."""
    asked = context(who, arguments)
    about = [each for each in rules if not each.shadow and selects(each, name)]
    denied = {denies(each, who, asked, name) for each in about if each.effect is Effect.DENY}
    if Truth.TRUE in denied:
        return Reason.DENIED_BY_RULE
    if Truth.ERROR in denied:
        return Reason.RULE_ERROR
    required = {missing(each, who, asked, name) for each in about if each.effect is Effect.REQUIRE}
    if required - {Reason.ALLOWED}:
        return Reason.DENIED_BY_RULE
    reasons = {missing(each, who, asked, name) for each in about if each.effect is Effect.ALLOW}
    closest = (Reason.ALLOWED, Reason.MISSING_SCOPE, Reason.ARGS_NOT_ALLOWED, Reason.MISSING_ROLE)
    return next((reason for reason in closest if reason in reasons), Reason.NO_RULE)


@settings(UNHURRIED, max_examples=500)
@given(rules=RULES, who=CALLERS, arguments=st.none() | ARGUMENTS, name=NAMES)
def test_the_index_decides_as_a_plain_loop_over_all_rules_does(rules, who, arguments, name):
    assert plain(rules, who, arguments, name) is verdict(rules, who, arguments, name).reason


@UNHURRIED
@given(rules=RULES, calls=st.lists(st.tuples(CALLERS, st.none() | ARGUMENTS, NAMES), max_size=6))
def test_what_was_asked_before_changes_no_answer(rules, calls):
    policy = Policy(rules)
    one_after_the_other = [
        policy.judge(context(who, arguments), tool(name)) for who, arguments, name in calls
    ]

    assert [verdict(rules, *call) for call in calls] == one_after_the_other


@UNHURRIED
@given(rules=RULES, who=CALLERS, arguments=ARGUMENTS, name=NAMES)
@pytest.mark.requirement("security.list-is-callable")
def test_what_is_callable_with_some_arguments_is_listed(rules, who, arguments, name):
    if allowed(rules, who, arguments, name):
        assert allowed(rules, who, None, name)


@UNHURRIED
@given(rules=RULES, who=CALLERS, name=NAMES)
@pytest.mark.requirement("security.list-is-callable")
def test_an_item_is_listed_exactly_when_the_rules_without_their_args_would_let_it_be_called(rules, who, name):
    silent = [each for each in rules if each.effect is not Effect.DENY or each.args is None]
    without_args = [changed(each, args=None) for each in silent]

    assert allowed(without_args, who, {}, name) is allowed(rules, who, None, name)


@UNHURRIED
@given(rules=RULES, who=CALLERS, name=NAMES)
def test_what_every_allows_when_part_refuses_is_not_listed(rules, who, name):
    asked = context(who, None)
    open_allows = [
        each
        for each in rules
        if each.effect is Effect.ALLOW and selects(each, name) and value(each.when, asked, name) is Truth.TRUE
    ]

    assert open_allows or not allowed(rules, who, None, name)


@UNHURRIED
@given(
    rules=RULES,
    extra=drawn_rules((Effect.DENY, Effect.REQUIRE)),
    who=CALLERS,
    arguments=st.none() | ARGUMENTS,
    name=NAMES,
)
def test_adding_a_deny_or_a_require_never_allows_more(rules, extra, who, arguments, name):
    if allowed([*rules, extra], who, arguments, name):
        assert allowed(rules, who, arguments, name)


@UNHURRIED
@given(
    rules=RULES.filter(len), at=st.integers(0, 5), who=CALLERS, arguments=st.none() | ARGUMENTS, name=NAMES
)
def test_removing_an_allow_never_allows_more(rules, at, who, arguments, name):
    gone = rules[at % len(rules)]
    fewer = [each for each in rules if each is not gone or each.effect is not Effect.ALLOW]

    if allowed(fewer, who, arguments, name):
        assert allowed(rules, who, arguments, name)


@UNHURRIED
@given(
    orders=RULES.flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))),
    who=CALLERS,
    arguments=st.none() | ARGUMENTS,
    name=NAMES,
)
def test_the_order_of_rules_changes_neither_reason_nor_scopes(orders, who, arguments, name):
    first, second = (verdict(rules, who, arguments, name) for rules in orders)

    assert (first.reason, first.scopes) == (second.reason, second.scopes)


@UNHURRIED
@given(rules=RULES, who=CALLERS, arguments=ARGUMENTS, name=NAMES)
def test_what_allows_is_a_rule_whose_every_condition_is_true(rules, who, arguments, name):
    found = verdict(rules, who, arguments, name)

    if found.reason is Reason.ALLOWED:
        asked = context(who, arguments)
        assert found.rule is not None
        assert Effect.ALLOW is found.rule.effect
        assert {Truth.TRUE} == {value(each, asked, name) for each in (found.rule.when, found.rule.args)}
        assert selects(found.rule, name)


ERRING = drawn_rules(
    when=st.sampled_from(["jwt.missing", "jwt.list[9] == 1", "1 / 0 == 1", "request.headers['x'] == ''"])
)


@UNHURRIED
@given(rules=RULES, extra=ERRING, who=CALLERS, arguments=st.none() | ARGUMENTS, name=NAMES)
def test_a_rule_that_errs_never_allows(rules, extra, who, arguments, name):
    assert not allowed([extra], who, arguments, name)
    if allowed([*rules, extra], who, arguments, name):
        assert allowed(rules, who, arguments, name)


@UNHURRIED
@given(
    rules=st.lists(drawn_rules((Effect.ALLOW,)), max_size=4).map(named),
    who=CALLERS,
    arguments=st.none() | ARGUMENTS,
    name=NAMES,
)
def test_the_scopes_of_a_challenge_are_enough_and_other_denials_name_none(rules, who, arguments, name):
    found = verdict(rules, who, arguments, name)

    if found.reason is Reason.MISSING_SCOPE:
        stepped_up = changed(who, scopes=(*who.scopes, *found.scopes))
        assert allowed(rules, stepped_up, arguments, name)
    else:
        assert () == found.scopes


@UNHURRIED
@given(
    rules=st.lists(st.tuples(drawn_rules(), st.booleans()), max_size=6),
    who=CALLERS,
    arguments=st.none() | ARGUMENTS,
    name=NAMES,
)
def test_shadow_rules_change_no_answer_and_are_named_exactly_where_they_would(rules, who, arguments, name):
    every = named(changed(each, shadow=shadow) for each, shadow in rules)
    applied = [each for each in every if not each.shadow]
    unveiled = [changed(each, shadow=False) for each in every]
    found, without = (verdict(some_rules, who, arguments, name) for some_rules in (every, applied))

    assert (without.reason, without.rule, without.scopes) == (found.reason, found.rule, found.scopes)
    differs = allowed(unveiled, who, arguments, name) is not (found.reason is Reason.ALLOWED)
    assert differs is bool(found.shadows)
    assert {each.name for each in every if each.shadow} >= set(found.shadows)

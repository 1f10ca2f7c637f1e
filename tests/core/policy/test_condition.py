"""The parts of a rule, one by one: when a rule has one, when it holds, and what an allow lacks where it does not."""

import pytest

from authz.config.lock_schema import LockedSchema
from authz.core.policy.condition import ALLOW_ORDER, CONDITIONS, DENY_ORDER, ConditionName, conditions
from authz.core.policy.expression import Truth
from authz.core.policy.lock import LockedArguments
from authz.core.policy.rule import Arguments, Groups
from authz.core.reasons import Reason
from tests.support.core import context, principal, rule, tool

N = ConditionName
FULL = {
    N.ISSUERS: {"issuers": ["main"]},
    N.WHEN: {"when": "true"},
    N.ROLES: {"roles": ["x"]},
    N.GROUPS: {"groups": ["/x"]},
    N.ARGUMENTS: {"arguments": Arguments({"n": "int"})},
    N.LOCKED: {"locked": LockedArguments({"echo": LockedSchema({"required": ["n"]})})},
    N.ARGS: {"args": "true"},
    N.SCOPES: {"scopes": ["a"]},
    N.ANY_SCOPES: {"any_scopes": ["a"]},
}


def truth(name, parts, *, who=None, sent=None):
    return CONDITIONS[name].truth(rule("allow", "echo", **parts), context(who, sent or {}), tool("echo"))


def named(found):
    return [name for condition in found for name, row in CONDITIONS.items() if row is condition]


@pytest.mark.parametrize("name", ConditionName)
def test_every_part_has_a_row_and_a_rule_has_the_parts_it_was_given(name):
    assert (True, False) == tuple(
        CONDITIONS[name].given(rule("allow", "echo", **parts)) for parts in (FULL[name], {})
    )
    assert [name] == named(conditions(rule("allow", "echo", **FULL[name]), ALLOW_ORDER))


@pytest.mark.parametrize("order", [ALLOW_ORDER, DENY_ORDER])
def test_the_parts_of_a_rule_come_in_the_order_asked_for_and_no_order_leaves_one_out(order):
    every = {key: value for parts in FULL.values() for key, value in parts.items()}

    assert set(ConditionName) == set(order)
    assert list(order) == named(conditions(rule("allow", "echo", **every), order))
    assert () == conditions(rule("allow", "echo"), order)


def test_an_allow_lacks_a_scope_only_where_nothing_else_is_missing():
    assert [N.SCOPES, N.ANY_SCOPES] == list(ALLOW_ORDER[-2:])


def test_whom_a_deny_is_not_about_is_settled_before_anything_can_fail():
    failing = {N.WHEN, N.ARGUMENTS, N.LOCKED, N.ARGS}

    assert failing == set(DENY_ORDER[5:])


@pytest.mark.parametrize(
    ("name", "reason", "on_call"),
    [
        (N.ISSUERS, Reason.NO_RULE, False),
        (N.WHEN, Reason.NO_RULE, False),
        (N.GROUPS, Reason.MISSING_ROLE, False),
        (N.ROLES, Reason.MISSING_ROLE, False),
        (N.ARGUMENTS, Reason.ARGS_NOT_ALLOWED, True),
        (N.LOCKED, Reason.ARGS_NOT_ALLOWED, True),
        (N.ARGS, Reason.ARGS_NOT_ALLOWED, True),
        (N.SCOPES, Reason.MISSING_SCOPE, False),
        (N.ANY_SCOPES, Reason.MISSING_SCOPE, False),
    ],
)
def test_what_an_allow_lacks_and_what_has_no_value_in_a_list(name, reason, on_call):
    assert (reason, on_call) == (CONDITIONS[name].lacking, CONDITIONS[name].on_call)


@pytest.mark.parametrize(
    ("name", "parts", "scopes", "roles", "expected"),
    [
        (N.SCOPES, {"scopes": ["a", "b"]}, ("b", "a"), (), True),
        (N.SCOPES, {"scopes": ["a", "b"]}, ("a",), (), False),
        (N.SCOPES, {"scopes": ["a"]}, ("A", "aa"), (), False),
        (N.SCOPES, {"scopes": ["a"]}, (), ("a",), False),
        (N.ANY_SCOPES, {"any_scopes": ["a", "b"]}, ("b",), (), True),
        (N.ANY_SCOPES, {"any_scopes": ["a", "b"]}, ("c",), (), False),
        (N.ROLES, {"roles": ["x", "y"]}, (), ("y", "z"), True),
        (N.ROLES, {"roles": ["x"]}, ("x",), (), False),
        (N.ROLES, {"roles": ["x"]}, (), ("X", "x "), False),
    ],
)
def test_grants_are_whole_words_and_never_an_error(name, parts, scopes, roles, expected):
    assert (Truth.TRUE if expected else Truth.FALSE) is truth(
        name, parts, who=principal(*scopes, roles=roles)
    )


@pytest.mark.parametrize(
    ("asked", "held", "expected"),
    [
        (["/platform/sre"], ["/platform/sre"], True),
        (["/platform/sre"], ["/platform/sre/oncall", "/platform"], False),
        (["/platform/*"], ["/platform/sre"], True),
        (["/platform/*"], ["/platform/sre/oncall"], True),
        (["/platform/*"], ["/platform", "/platforms/sre", "x/platform/sre"], False),
        (["/*"], ["/anything"], True),
        (["/*"], ["without-a-path"], False),
        (["0f3c", "/a/*"], ["0f3c"], True),
        (["0f3c"], [], False),
    ],
)
def test_a_group_is_compared_whole_or_by_the_path_above_it(asked, held, expected):
    who = principal(groups=tuple(held))

    assert (Truth.TRUE if expected else Truth.FALSE) is truth(N.GROUPS, {"groups": asked}, who=who)


@pytest.mark.parametrize("name", ["/a*", "*", "/*/b", "a/**", "/a/*/*"])
def test_a_star_of_a_group_stands_after_the_last_slash_and_nowhere_else(name):
    with pytest.raises(ValueError, match="compared whole"):
        Groups.of([name])


@pytest.mark.parametrize(
    ("issuer", "expected"), [("staff", Truth.TRUE), ("guests", Truth.FALSE), ("", Truth.FALSE)]
)
def test_a_rule_for_issuers_is_about_their_tokens_only(issuer, expected):
    given = rule("allow", "echo", issuers=["staff"])

    assert expected is CONDITIONS[N.ISSUERS].truth(given, context(issuer=issuer), tool("echo"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", Truth.TRUE), ("false", Truth.FALSE), ("jwt.missing", Truth.ERROR), ("1 / 0 == 1", Truth.ERROR)],
)
def test_an_expression_has_its_own_truth_as_either_part(text, expected):
    assert expected is truth(N.WHEN, {"when": text})
    assert expected is truth(N.ARGS, {"args": text})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({"n": 1}, Truth.TRUE), ({"n": 1, "more": 2}, Truth.TRUE), ({"n": "1"}, Truth.ERROR), ({}, Truth.ERROR)],
)
def test_arguments_of_other_types_are_an_error_so_that_a_deny_holds_and_an_allow_does_not(
    arguments, expected
):
    assert expected is truth(N.ARGUMENTS, FULL[N.ARGUMENTS], sent=arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"), [({"n": 1}, Truth.TRUE), ({"n": None}, Truth.TRUE), ({}, Truth.ERROR)]
)
def test_arguments_that_do_not_fit_the_locked_schema_are_an_error_too(arguments, expected):
    assert expected is truth(N.LOCKED, FULL[N.LOCKED], sent=arguments)


@pytest.mark.parametrize("name", [N.ARGUMENTS, N.LOCKED])
def test_an_item_of_a_list_has_no_arguments_to_be_of_a_type(name):
    asked, given = context(arguments=None), rule("allow", "echo", **FULL[name])

    assert Truth.ERROR is CONDITIONS[name].truth(given, asked, tool("echo"))


def test_without_a_locked_schema_arguments_are_needed_all_the_same():
    asked, given = context(arguments=None), rule("allow", "echo")

    assert Truth.ERROR is CONDITIONS[N.LOCKED].truth(given, asked, tool("echo"))


@pytest.mark.parametrize("name", [N.GROUPS])
def test_a_rule_without_groups_has_nobody_in_them(name):
    assert Truth.FALSE is truth(name, {}, who=principal(groups=("/x",)))


def test_the_parts_are_called_by_their_keys_in_the_policy_file():
    assert [
        "issuers",
        "when",
        "roles",
        "groups",
        "arguments",
        "locked",
        "args",
        "scopes",
        "any_scopes",
    ] == list(map(str, ConditionName))


@pytest.mark.parametrize("name", [N.WHEN, N.ARGS, N.ARGUMENTS, N.LOCKED])
def test_a_part_that_a_rule_does_not_have_keeps_it_from_nothing(name):
    assert Truth.TRUE is truth(name, {})

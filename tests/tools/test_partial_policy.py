import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.core.identity.principal import Caller
from authz.core.policy.context import EvaluationContext
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Arguments
from authz.core.reasons import Reason
from authz.core.request import HttpRequest
from authz.tools.partial_policy import bounds
from tests.support.core import context, principal, rule, tool

CONDITIONS = [
    "!('n' in args)",
    "!('x' in request.headers)",
    "true",
    "false",
    "jwt.nothing",
    "request.headers.x == '1'",
    "args.n == 1",
    "request.method == 'POST'",
]
RULES = st.lists(
    st.builds(
        lambda effect, **parts: (effect, parts),
        st.sampled_from(["allow", "deny", "require"]),
        when=st.sampled_from([None, *[text for text in CONDITIONS if "args" not in text]]),
        args=st.sampled_from([None, *CONDITIONS]),
        scopes=st.sampled_from([(), ("a",)]),
        roles=st.sampled_from([(), ("a",)]),
        arguments=st.sampled_from([None, Arguments({"n": "int"})]),
        shadow=st.booleans(),
    ),
    max_size=4,
)


@given(
    RULES,
    st.sampled_from([{}, {"n": 1}, {"n": "1"}]),
    st.sampled_from([{}, {"x": "1"}, {"x": "2"}]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_whatever_arguments_and_headers_were_the_answer_lies_within_the_bounds(
    drawn, arguments, headers, scoped, in_role, is_open
):
    rules = tuple(rule(effect, "echo", name=f"r{at}", **parts) for at, (effect, parts) in enumerate(drawn))
    policy = Policy(rules, is_open)
    strict, lenient = bounds(policy, frozenset({"args", "request"}))
    who = principal(*(["a"] if scoped else []), roles=("a",) if in_role else ())
    real = policy.judge(context(who, arguments, **headers), tool("echo")).reason is Reason.ALLOWED
    nothing = EvaluationContext(
        Caller.of(who, "demo"), HttpRequest(method="POST", host="h", path="/", headers={}), "tools/call", {}
    )
    at_worst, at_best = (
        side.judge(nothing, tool("echo")).reason is Reason.ALLOWED for side in (strict, lenient)
    )

    assert at_worst <= real <= at_best


@pytest.mark.parametrize("effect", ["allow", "deny", "require"])
@pytest.mark.parametrize(
    "parts",
    [
        {"args": "args.n == 1"},
        {"args": "!('n' in args)"},
        {"when": "request.headers.x == '1'"},
        {"when": "!('x' in request.headers)"},
        {"arguments": Arguments({"n": "int"})},
        {"arguments": Arguments({"n": "int?"})},
    ],
)
def test_where_a_rule_turns_on_what_is_unknown_the_bounds_differ(effect, parts):
    rules = (
        rule(effect, "echo", **parts),
        *([] if effect == "allow" else [rule("allow", "echo", name="all")]),
    )

    assert [False, True] == [
        side.judge(context(), tool("echo")).reason is Reason.ALLOWED
        for side in bounds(Policy(rules), frozenset({"args", "request"}))
    ]


def test_a_policy_that_reads_nothing_unknown_is_its_own_bound():
    policy = Policy((rule("allow", "echo", scopes=["a"], when="'a' in scopes"), rule("deny", "x")))

    assert [policy.rules, policy.rules] == [
        side.rules for side in bounds(policy, frozenset({"args", "request"}))
    ]

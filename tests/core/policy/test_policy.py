"""What the rules of one server say about one item; each test is a sentence of the policy's meaning."""

import itertools

import pytest

from authz.core.mcp.item import Item, Kind, Template
from authz.core.policy.policy import Policy, Verdict
from authz.core.reasons import Reason
from tests.support.core import changed, context, principal, rule, tool

LISTED = None
"""Arguments of a question about a place in a list."""


def judge(rules, who=None, arguments=None, name="echo", **options):
    """Judge a tool; arguments None asks for a place in a list."""
    return Policy(tuple(rules), **options).judge(context(who, arguments), tool(name))


def called(rules, who=None, arguments=(), name="echo", **options):
    return judge(rules, who, dict(arguments), name, **options).reason


def listed(rules, who=None, name="echo", **options):
    return judge(rules, who, LISTED, name, **options).reason is Reason.ALLOWED


@pytest.mark.requirement("reason.no_rule")
def test_without_a_rule_nothing_is_allowed():
    assert Verdict(Reason.NO_RULE) == judge([], arguments={})


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], Reason.ALLOWED),
        ([rule("deny", "other")], Reason.ALLOWED),
        ([rule("deny", "echo")], Reason.DENIED_BY_RULE),
        ([rule("deny", "echo", when="jwt.absent")], Reason.RULE_ERROR),
        ([rule("require", "echo", when="true")], Reason.ALLOWED),
        ([rule("require", "echo", when="false")], Reason.DENIED_BY_RULE),
        ([rule("deny", "other"), rule("allow", "other")], Reason.NO_RULE),
        ([rule("require", "echo", when="true"), rule("allow", "other")], Reason.NO_RULE),
        ([rule("deny", "other"), rule("allow", "other", shadow=True)], Reason.ALLOWED),
    ],
)
def test_a_policy_that_is_open_without_allows_allows_what_is_left_unless_a_rule_allows(rules, expected):
    assert expected is called(rules, open_without_allows=True)


def test_an_allow_is_about_the_names_it_selects():
    assert Reason.ALLOWED is called([rule("allow", "echo")])
    assert Reason.NO_RULE is called([rule("allow", "other")])
    assert Reason.NO_RULE is called([rule("allow", "echo")], name="ECHO")


@pytest.mark.parametrize(
    ("conditions", "scopes", "roles", "reason"),
    [
        ({}, (), (), Reason.ALLOWED),
        ({"scopes": ["a", "b"]}, ("a", "b"), (), Reason.ALLOWED),
        ({"scopes": ["a", "b"]}, ("a",), (), Reason.MISSING_SCOPE),
        (
            {"scopes": ["files:read"]},
            ("profiles:readonly", "xfiles:read", "files:reader"),
            (),
            Reason.MISSING_SCOPE,
        ),
        ({"scopes": ["a"]}, ("A",), (), Reason.MISSING_SCOPE),
        ({"any_scopes": ["a", "b"]}, ("b",), (), Reason.ALLOWED),
        ({"any_scopes": ["a", "b"]}, ("c",), (), Reason.MISSING_SCOPE),
        ({"scopes": ["a"], "any_scopes": ["b", "c"]}, ("a", "c"), (), Reason.ALLOWED),
        ({"scopes": ["a"], "any_scopes": ["b", "c"]}, ("a",), (), Reason.MISSING_SCOPE),
        ({"scopes": ["a"], "any_scopes": ["b", "c"]}, ("b",), (), Reason.MISSING_SCOPE),
        ({"roles": ["x", "y"]}, (), ("y",), Reason.ALLOWED),
        ({"roles": ["admin"]}, (), ("administrator", "Admin"), Reason.MISSING_ROLE),
        ({"roles": ["x"]}, ("x",), (), Reason.MISSING_ROLE),
        ({"scopes": ["x"]}, (), ("x",), Reason.MISSING_SCOPE),
        ({"scopes": ["a"], "roles": ["x"]}, ("a",), ("x",), Reason.ALLOWED),
        ({"scopes": ["a"], "roles": ["x"]}, (), (), Reason.MISSING_ROLE),
        ({"scopes": ["a"], "roles": ["x"]}, (), ("x",), Reason.MISSING_SCOPE),
    ],
)
def test_all_conditions_of_an_allow_must_hold_and_grants_are_whole_words(conditions, scopes, roles, reason):
    rules = [rule("allow", "echo", **conditions)]
    who = principal(*scopes, roles=roles)

    assert reason is called(rules, who)
    assert (reason is Reason.ALLOWED) is listed(rules, who)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("true", True),
        ("false", False),
        ("jwt.level", False),  # a number is not true
        ("jwt.word", False),
        ("jwt.missing", False),  # an error is not true
        ("jwt.level / 0 == 1", False),
        ("jwt.flag", True),
        ("jwt.list[9] == 1", False),
        ('"admin" in roles', True),
        ("jwt.missing || true", True),
    ],
)
def test_only_true_is_true(text, holds):
    who = principal(roles=("admin",), level=1, word="true", flag=True, list=[1])
    reason = Reason.ALLOWED if holds else Reason.NO_RULE

    assert reason is called([rule("allow", "echo", when=text)], who)
    assert holds is listed([rule("allow", "echo", when=text)], who)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("true", Reason.DENIED_BY_RULE),
        ("false", Reason.ALLOWED),
        ("jwt.flag", Reason.DENIED_BY_RULE),
        ("jwt.level", Reason.RULE_ERROR),
        ("jwt.word", Reason.RULE_ERROR),
        ("jwt.missing", Reason.RULE_ERROR),
        ("jwt.missing == 1", Reason.RULE_ERROR),
    ],
)
@pytest.mark.requirement("reason.denied_by_rule", "reason.rule_error")
def test_a_deny_that_holds_or_fails_denies(text, reason):
    who = principal(level=1, word="true", flag=True)
    rules = [rule("allow", "echo"), rule("deny", "echo", when=text)]

    assert reason is called(rules, who)
    assert (reason is Reason.ALLOWED) is listed(rules, who)


def test_a_deny_that_holds_gives_the_reason_even_beside_one_that_fails():
    rules = [rule("deny", "echo", when="jwt.missing", name="fails"), rule("deny", "echo", name="holds")]

    for order in itertools.permutations(rules):
        assert ("holds", Reason.DENIED_BY_RULE) == ((verdict := judge(order)).rule.name, verdict.reason)


@pytest.mark.parametrize(
    ("conditions", "denied"),
    [
        ({"scopes": ["a"]}, True),
        ({"scopes": ["b"]}, False),
        ({"any_scopes": ["a", "b"]}, True),
        ({"any_scopes": ["b"]}, False),
        ({"roles": ["x"]}, True),
        ({"roles": ["y"]}, False),
        ({"roles": ["x"], "scopes": ["b"]}, False),
        ({"roles": ["y"], "when": "jwt.missing"}, False),  # about somebody else, so never evaluated
        ({"roles": ["x"], "when": "jwt.missing"}, True),
    ],
)
def test_a_deny_is_about_callers_who_have_what_it_names(conditions, denied):
    rules = [rule("allow", "echo"), rule("deny", "echo", **conditions)]

    assert denied is (called(rules, principal("a", roles=("x",))) is not Reason.ALLOWED)


@pytest.mark.parametrize(
    ("allow", "deny", "arguments", "reason", "visible"),
    [
        ("args.n == 1", None, {"n": 1}, Reason.ALLOWED, True),
        ("args.n == 1", None, {"n": 2}, Reason.ARGS_NOT_ALLOWED, True),
        ("args.n == 1", None, {}, Reason.ARGS_NOT_ALLOWED, True),
        ("args.n", None, {"n": 1}, Reason.ARGS_NOT_ALLOWED, True),
        (None, "args.n == 1", {"n": 1}, Reason.DENIED_BY_RULE, True),
        (None, "args.n == 1", {"n": 2}, Reason.ALLOWED, True),
        (None, "args.n == 1", {}, Reason.RULE_ERROR, True),
        (None, "args.n", {"n": "yes"}, Reason.RULE_ERROR, True),
        ("args.n == 1", "args.n == 1", {"n": 1}, Reason.DENIED_BY_RULE, True),
    ],
)
def test_a_list_takes_args_as_satisfiable_and_a_call_does_not(allow, deny, arguments, reason, visible):
    rules = [rule("allow", "echo", args=allow)] + ([rule("deny", "echo", args=deny)] if deny else [])

    assert reason is called(rules, arguments=arguments)
    assert visible is listed(rules)


@pytest.mark.parametrize(
    ("conditions", "arguments", "reason"),
    [
        ({"when": "false", "roles": ["x"], "scopes": ["s"], "args": "false"}, {}, Reason.NO_RULE),
        ({"roles": ["x"], "scopes": ["s"], "args": "false"}, {}, Reason.MISSING_ROLE),
        ({"scopes": ["s"], "args": "args.n == 1"}, {"n": 2}, Reason.ARGS_NOT_ALLOWED),
        ({"scopes": ["s"], "args": "args.n == 1"}, {"n": 1}, Reason.MISSING_SCOPE),
    ],
)
@pytest.mark.requirement("reason.missing_scope", "reason.missing_role", "reason.args_not_allowed")
def test_the_reason_is_a_missing_scope_only_where_nothing_else_is_missing(conditions, arguments, reason):
    assert reason is called([rule("allow", "echo", **conditions)], arguments=arguments)


def test_the_closest_allow_gives_the_reason_and_its_scopes():
    rules = [
        rule("allow", "echo", when="false", name="far"),
        rule("allow", "echo", roles=["x"], name="nearer"),
        rule("allow", "echo", args="false", name="near"),
        rule("allow", "echo", scopes=["b", "a"], name="close"),
        rule("allow", "echo", scopes=["c"], name="as close"),
    ]

    for order in itertools.permutations(rules):
        verdict = judge(order, arguments={})
        assert (Reason.MISSING_SCOPE, "close", ("a", "b")) == (
            verdict.reason,
            verdict.rule.name,
            verdict.scopes,
        )


@pytest.mark.parametrize(
    ("conditions", "scopes"),
    [
        ({"scopes": ["b", "a"]}, ("a", "b")),
        ({"any_scopes": ["z", "y"]}, ("y",)),
        ({"scopes": ["a"], "any_scopes": ["z", "y"]}, ("a", "y")),
        ({"scopes": ["a"], "any_scopes": ["a", "b"]}, ("a",)),
    ],
)
def test_a_missing_scope_names_all_that_the_operation_needs(conditions, scopes):
    verdict = judge([rule("allow", "echo", **conditions)], arguments={})

    assert (Reason.MISSING_SCOPE, scopes) == (verdict.reason, verdict.scopes)


@pytest.mark.parametrize("effect", ["deny", "require"])
def test_a_denial_that_no_scope_cures_names_none(effect):
    assert () == judge([rule("allow", "echo"), rule(effect, "echo", when="jwt.missing")]).scopes


@pytest.mark.parametrize(
    ("requires", "allowed"),
    [
        (["true"], True),
        (["true", "true"], True),
        (["true", "false"], False),
        (["jwt.missing"], False),
        (["jwt.level"], False),
    ],
)
def test_every_require_must_hold_beside_an_allow(requires, allowed):
    conditions = [rule("require", "*", when=text, name=f"r{at}") for at, text in enumerate(requires)]
    expected = Reason.ALLOWED if allowed else Reason.DENIED_BY_RULE

    assert expected is called([rule("allow", "echo"), *conditions], principal(level=1))
    assert Reason.ALLOWED is not called(conditions, principal(level=1))


def test_a_require_is_about_the_names_it_selects():
    assert Reason.ALLOWED is called([rule("allow", "echo"), rule("require", "other", when="false")])


@pytest.mark.parametrize("kind", Kind)
def test_a_rule_about_one_kind_says_nothing_about_another(kind):
    policy = Policy((rule("allow", names={kind: ("x", "y*")}),))
    found = {other: policy.judge(context(), Item(other, "x")).reason is Reason.ALLOWED for other in Kind}

    assert {other: other is kind for other in Kind} == found


SHADOWS = [
    ([rule("allow", "echo"), rule("deny", "echo", shadow=True, name="s")], True, ("s",)),
    ([rule("allow", "echo"), rule("deny", "echo", when="false", shadow=True, name="s")], True, ()),
    ([rule("allow", "echo"), rule("deny", "echo", when="jwt.missing", shadow=True, name="s")], True, ("s",)),
    ([rule("allow", "echo", shadow=True, name="s")], False, ("s",)),
    ([rule("allow", "echo", when="false", shadow=True, name="s")], False, ()),
    ([rule("deny", "echo"), rule("allow", "echo", shadow=True, name="s")], False, ()),
    ([rule("allow", "echo"), rule("allow", "echo", shadow=True, name="s")], True, ()),
    ([rule("allow", "echo"), rule("require", "echo", when="false", shadow=True, name="s")], True, ("s",)),
    ([rule("allow", "echo"), rule("deny", "other", shadow=True, name="s")], True, ()),
]


@pytest.mark.parametrize(("rules", "allowed", "shadows"), SHADOWS)
def test_a_shadow_rule_changes_nothing_and_is_named_where_it_would(rules, allowed, shadows):
    verdict = judge(rules, arguments={})
    applied = judge([candidate for candidate in rules if not candidate.shadow], arguments={})

    assert (allowed, shadows) == (verdict.reason is Reason.ALLOWED, verdict.shadows)
    assert (applied.reason, applied.rule, applied.scopes) == (verdict.reason, verdict.rule, verdict.scopes)


def test_what_is_remembered_of_names_is_bounded_and_forgetting_changes_no_answer():
    policy = Policy((rule("allow", "tool-1*"),))
    names = [f"tool-{number}" for number in range(20_000)]
    first = [policy.judge(context(), tool(name)).reason for name in names]

    assert len(policy.rules_by_item) <= 16_384
    assert first == [policy.judge(context(), tool(name)).reason for name in names]


@pytest.mark.parametrize(
    ("conditions", "arguments"),
    [
        ({}, [None, {}]),
        ({"scopes": ["s"]}, [None, {}]),
        ({"when": '"admin" in roles'}, [None, {}]),
        ({"when": 'mcp.tool.name == "read_a"'}, [None, {}]),
        ({"when": 'mcp.method == "tools/list"'}, [None, {}]),
        ({"when": 'request.headers["x-team"] == "a"'}, [None, {}]),
        ({"args": "args.n == 1"}, [None, {}, {"n": 1}, {"n": 2}]),
    ],
)
def test_what_was_judged_before_for_a_caller_changes_no_later_verdict(conditions, arguments):
    """One caller asks about many names under the same rules, as a list does and as calls do, in turn."""
    rules = (rule("allow", "read_*", **conditions), rule("deny", "*_secret", when="jwt.sub != 'x'", name="d"))
    policy, who = Policy(rules), principal("s")
    names = ["read_a", "read_b", "read_c_secret", "write", "read_a"]
    asked = [
        (changed(context(who, given, **headers), method=method), tool(name))
        for given in arguments
        for headers in ({}, {"x-team": "a"})
        for method in ("tools/call", "tools/list")
        for name in names
    ]
    alone = [Policy(rules).judge(*each) for each in asked]
    caller = asked[0][0].caller
    together = [policy.judge(changed(about, caller=caller), item) for about, item in asked * 2]

    assert alone * 2 == together


READS = [
    # conditions of the rules; claims and headers that decide about lists; headers and claims that are read at all
    ([{}], set(), set(), set(), set()),
    ([{"when": "jwt.a == 1"}], {"a"}, set(), set(), {"a"}),
    ([{"when": "'x' in roles"}], set(), set(), set(), set()),
    ([{"when": "request.path == 'x'"}], set(), set(), set(), set()),
    ([{"when": 'request.headers["x-a"] == ""'}], set(), {"x-a"}, {"x-a"}, set()),
    ([{"args": 'request.headers["x-a"] == args.a'}], set(), set(), {"x-a"}, set()),
    ([{"args": "jwt.a == args.a"}], set(), set(), set(), {"a"}),
    ([{"when": "jwt[client] == 1"}], None, set(), set(), None),
    ([{"when": "request.headers[client] == ''"}], set(), None, None, set()),
    ([{"args": "request.headers[client] == '' && jwt[client] == args.a"}], set(), set(), None, None),
    ([{"when": "jwt.a == 1", "args": "jwt.b == args.b"}], {"a"}, set(), set(), {"a", "b"}),
    (
        [{"when": "jwt.a == 1"}, {}, {"when": 'jwt.b == 1 && request.headers["x-a"] == ""'}],
        {"a", "b"},
        {"x-a"},
        {"x-a"},
        {"a", "b"},
    ),
    (
        [{"when": "jwt.a == 1"}, {"when": "jwt[client] == 1"}, {"when": "jwt.b == 1"}],
        None,
        set(),
        set(),
        None,
    ),
]


@pytest.mark.parametrize(("conditions", "claims", "headers", "all_headers", "all_claims"), READS)
def test_a_policy_knows_which_claims_and_headers_it_reads(
    conditions, claims, headers, all_headers, all_claims
):
    """What it does not know of would not come with the caller to where lists are trimmed."""
    policy = Policy(
        tuple(rule("allow", "a", name=f"r{place}", **each) for place, each in enumerate(conditions))
    )

    assert (claims, headers) == (policy.visibility_inputs.claims, policy.visibility_inputs.headers)
    assert (all_headers, all_claims) == (policy.read_headers, policy.claims_read)


@pytest.mark.parametrize(("length", "kept"), [(256, True), (257, False)])
@pytest.mark.parametrize(("when", "remembered"), [("true", True), ("request.path == 'x'", False)])
def test_a_verdict_is_remembered_with_the_caller_unless_the_name_is_long_or_it_depends_on_the_request(
    length, kept, when, remembered
):
    policy, about, item = Policy((rule("allow", "a*", when=when),)), context(), tool("a" * length)
    policy.judge(about, item)

    assert kept is (policy.rules_by_item.get(item) is not None)
    assert (kept and remembered) is bool(len(about.caller.cache.verdicts))


def test_a_verdict_that_depends_on_the_caller_alone_is_one_for_all_names():
    policy, about = Policy((rule("allow", "a*"),)), context()

    assert (
        policy.judge(about, tool("ab")) is policy.judge(about, tool("ab")) is policy.judge(about, tool("ac"))
    )
    assert policy.judge(context(), tool("ab")) is not policy.judge(about, tool("ab"))


@pytest.mark.parametrize(
    ("parts", "hides"),
    [
        ([], False),
        ([{}], False),
        ([{"hide": False}], False),
        ([{"hide": True}], True),
        ([{}, {"hide": True}], True),
    ],
)
def test_a_policy_hides_where_a_rule_that_is_applied_does(parts, hides):
    rules = [rule("deny", "a", name=f"r{place}", **each) for place, each in enumerate(parts)]

    assert hides is Policy(tuple(rules)).hides
    assert not Policy((rule("deny", "a", hide=True, shadow=True),)).hides


def test_of_two_allows_that_are_as_close_the_first_by_name_is_told_whatever_their_order():
    rules = [rule("allow", "echo", scopes=["s"], name=name) for name in ("c", "a", "b")]

    for order in itertools.permutations(rules):
        assert ("a", ("s",)) == (judge(order).rule.name, judge(order).scopes)


def test_a_missing_role_names_no_scope_although_one_is_missing_too():
    verdict = judge([rule("allow", "echo", scopes=["s"], roles=["r"])])

    assert (Reason.MISSING_ROLE, ()) == (verdict.reason, verdict.scopes)


def test_a_template_that_nobody_reads_is_judged_as_a_text():
    policy = Policy((rule("allow", names={Kind.RESOURCE: ("db:///{x}",)}),))
    verdict, item = policy.judge_template(context(), Template(Kind.RESOURCE, "db:///{x}"))

    assert (Reason.ALLOWED, Item(Kind.RESOURCE, "db:///{x}")) == (verdict.reason, item)
    assert verdict == policy.judge(context(), Template(Kind.RESOURCE, "db:///{x}"))


def test_a_policy_is_shown_by_its_rules_and_not_by_what_was_made_of_them():
    assert "Policy(rules=(), open_without_allows=False, is_open=False)" == repr(Policy(()))


@pytest.mark.parametrize(
    ("held", "needed"),
    [((), ("a", "x")), (("b",), ("b", "x")), (("0", "b", "c"), ("b", "x")), (("0",), ("a", "x"))],
)
def test_of_alternatives_that_one_is_asked_for_which_the_caller_has_or_else_the_first(held, needed):
    verdict = judge([rule("allow", "echo", scopes=["x"], any_scopes=["c", "b", "a"])], principal(*held))

    assert (Reason.MISSING_SCOPE, needed) == (verdict.reason, verdict.scopes)


def test_an_alternative_that_is_needed_anyway_adds_no_other():
    assert ("x",) == judge([rule("allow", "echo", scopes=["x"], any_scopes=["a", "x"])]).scopes


def test_of_two_denies_that_fail_the_first_is_told():
    rules = [rule("deny", "echo", when="jwt.missing == 1", name=name) for name in ("b", "a")]

    assert (Reason.RULE_ERROR, "b") == (judge(rules).reason, judge(rules).rule.name)

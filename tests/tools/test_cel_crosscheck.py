import pytest

from authz.config.cel.compile import compile_expression
from authz.core.policy.expression import Truth, activate
from authz.tools.cel_crosscheck import Disagreement, cross_check, python_truth
from tests.support.core import context, principal, rule, tool
from tests.test_layers import in_a_fresh_process

VALUES = {
    "jwt": {"scope": "files:read a", "n": 1, "roles": ["admin"], "m": {"k": None}, "f": 1.5},
    "scopes": ["files:read"],
    "roles": ["admin"],
    "client": "c",
    "server": "demo",
    "args": {"filename": "/inbox/a", "list": [1, "x"], "flag": True},
    "mcp": {"method": "tools/call", "tool": {"name": "echo", "target": "demo"}},
    "request": {"method": "POST", "host": "h", "path": "/mcp", "headers": {"x-environment": "prod"}},
    "source": {"address": "192.0.2.1"},
}

AGREED = [
    ('jwt.scope.contains("files")', Truth.TRUE),
    ('jwt.roles.contains("admin")', Truth.TRUE),
    ('jwt.roles.contains("adm")', Truth.FALSE),
    ('jwt.contains("scope")', Truth.TRUE),
    ("jwt.scope.contains(1)", Truth.ERROR),
    ('"admin" in roles', Truth.TRUE),
    ('args.filename.startsWith("/inbox/") && !args.filename.contains("..")', Truth.TRUE),
    ("has(jwt.x)", Truth.FALSE),
    ("jwt.x == 1", Truth.ERROR),
    ("jwt.x == 1 || true", Truth.TRUE),
    ('request.headers["x-environment"] == "prod"', Truth.TRUE),
    ('request.headers["y"] == "prod"', Truth.ERROR),
    ('mcp.tool.name == "echo"', Truth.TRUE),
    ('mcp.prompt.name == "echo"', Truth.ERROR),
    ('roles.exists(r, r.startsWith("a"))', Truth.TRUE),
    ("jwt.m.k == null", Truth.TRUE),
    ("jwt.f > 1", Truth.TRUE),
    ("jwt.n", Truth.ERROR),
    ("jwt.n / 0 == 1", Truth.ERROR),
    ("roles[5] == 'x'", Truth.ERROR),
]


def both(text):
    expression = compile_expression(text)
    values = {name: VALUES[name] for name in expression.reads}
    return expression.value(activate(values)), python_truth(text, values)


@pytest.mark.parametrize(("text", "expected"), AGREED)
def test_both_implementations_give_the_same_outcome(text, expected):
    assert (expected, expected) == both(text)


APART = [
    ('!("admin" in args.filename)', Truth.ERROR, Truth.TRUE),
    ("args.flag <= 1", Truth.ERROR, Truth.TRUE),
    ("jwt.n == 1.0", Truth.TRUE, Truth.ERROR),
]


@pytest.mark.parametrize(("text", "first", "second"), APART)
def test_where_they_are_known_to_differ_the_difference_is_seen(text, first, second):
    assert (first, second) == both(text)


@pytest.mark.parametrize("text", ["1 +", "unheard_of(jwt)", "jwt.scope.unheard_of()"])
def test_what_the_second_cannot_read_or_does_not_know_has_no_second_opinion(text):
    assert python_truth(text, {"jwt": VALUES["jwt"]}) is None


def test_a_comparison_names_case_rule_and_both_outcomes_and_no_value():
    doubtful = rule("allow", "echo", name="careful", args='!("secret" in args.list)')
    sound = rule("allow", "echo", name="sound", when='"admin" in roles')
    elsewhere = rule("allow", "other", name="elsewhere", args='!("secret" in args.list)')
    evaluated = [
        ("a case", (doubtful, sound, elsewhere), context(principal(), {"list": "hunter2"}), tool("echo"))
    ]

    found = cross_check(evaluated)

    assert 2 == found.asked
    assert (
        Disagreement(
            case="a case",
            rule="careful",
            expression='!("secret" in args.list)',
            first=Truth.ERROR,
            second=Truth.TRUE,
        ),
    ) == found.disagreements
    assert "hunter2" not in str(found)


def test_in_a_list_a_condition_on_arguments_is_not_asked():
    rules = (rule("allow", "echo", args="args.n == 1", when="true"),)

    assert 1 == cross_check([("a list", rules, context(arguments=None), tool("echo"))]).asked


def test_the_commands_do_not_load_the_second_implementation_before_they_need_it():
    code = "import sys, authz.cli.check, authz.cli.test; print(*sys.modules)"
    loaded = in_a_fresh_process(code)

    assert "authz.cli.test" in loaded
    assert [] == [name for name in loaded if name in {"celpy", "authz.tools.cel_crosscheck"}]

"""What a condition sees: the verified caller, the request without its credentials, the item; and what it does not."""

import pytest

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext, visible_headers
from authz.core.policy.expression import Truth
from authz.core.wire.confusables import Budget
from authz.core.wire.strict_json import InexactNumber
from tests.support.core import changed, condition, context, post, principal, tool

REQUEST = post(
    {},
    {"x-environment": "prod", "cookie": "a=b", "proxy-authorization": "Basic x", ":path": "/mcp"},
    path="/mcp?x=1",
    host="MCP.example",
    source="192.0.2.1",
)


def truth(text, *, item=None, arguments=None, who=None, request=REQUEST):
    caller = Caller.of(who or principal("a", "b", roles=("x",), level=3), "demo")
    return EvaluationContext(caller, request, "tools/call", arguments or {}).truth(
        condition(text), item or tool("echo")
    )


@pytest.mark.parametrize(
    "text",
    [
        "jwt.level == 3",
        'scopes == ["a", "b"]',
        'roles == ["x"]',
        'client == "client-1"',
        'server == "demo"',
        'mcp.method == "tools/call"',
        'mcp.tool.name == "echo"',
        'mcp.tool.target == "demo"',
        'request.method == "POST"',
        'request.host == "MCP.example"',
        'request.path == "/mcp"',
        'request.headers["x-environment"] == "prod"',
        'source.address == "192.0.2.1"',
        'args.a.b[1] == "c"',
        "!has(mcp.prompt)",
    ],
)
def test_a_condition_sees(text):
    assert Truth.TRUE is truth(text, arguments={"a": {"b": [None, "c"]}})


@pytest.mark.parametrize("name", ["authorization", "cookie", "proxy-authorization", ":path"])
def test_a_condition_never_sees_a_credential_or_a_pseudo_header(name):
    assert name in REQUEST.headers
    assert name not in visible_headers(REQUEST)
    assert Truth.FALSE is truth(f'"{name}" in request.headers')
    assert Truth.ERROR is truth(f'request.headers["{name}"] != ""')


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Item(Kind.PROMPT, "p"), 'mcp.prompt.name == "p" && mcp.prompt.target == "demo"'),
        (
            Item(Kind.RESOURCE, "file:///a"),
            'mcp.resource.uri == "file:///a" && mcp.resource.name == "file:///a"',
        ),
        (Item(Kind.TASK, "t"), 'mcp.task.id == "t"'),
    ],
)
def test_a_condition_sees_the_item_under_its_kind_only(item, text):
    assert Truth.TRUE is truth(text, item=item)
    assert Truth.ERROR is truth('mcp.tool.name == "p"', item=item)


@pytest.mark.parametrize(
    "text", ["jwt.missing", "jwt.level", "args.x == 1", "1 / (jwt.level - 3) == 1", "jwt.level == '3'"]
)
def test_what_has_no_truth_value_is_an_error_or_false_and_nothing_is_raised(text):
    assert Truth.TRUE is not truth(text)


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("jwt.level == 3", [Truth.TRUE, Truth.TRUE]),
        ('mcp.tool.name == "a"', [Truth.TRUE, Truth.FALSE]),
        ('mcp.tool.name == "a" && jwt.level == 3', [Truth.TRUE, Truth.FALSE]),
    ],
)
def test_a_value_is_remembered_only_where_it_depends_on_the_caller_alone(text, answers):
    caller = Caller.of(principal(level=3), "demo")
    asked = EvaluationContext(caller, REQUEST, "tools/call", {})

    assert answers == [asked.truth(condition(text), tool(name)) for name in "ab"]
    assert (condition(text) in caller.cache.conditions) is (answers[0] == answers[1])


def test_a_remembered_value_is_not_shared_between_callers():
    admin = condition('"admin" in roles')

    assert Truth.TRUE is context(principal(roles=("admin",))).truth(admin, tool("x"))
    assert Truth.FALSE is context(principal(roles=("user",))).truth(admin, tool("x"))


@pytest.mark.parametrize("name", ["Path", "PATH", "path\0", "\uff50ath", "pat\u210e"])
def test_a_condition_reads_no_arguments_beside_one_that_another_parser_takes_for_its_own(name):
    """Go's encoding/json would fill `path` from `Path`: the rule would judge one value and the server act on another."""
    assert Truth.ERROR is truth('args.path == "a"', arguments={"path": "a", name: "b"})
    assert Truth.ERROR is truth('!has(args.path) || args.path == "a"', arguments={name: "b"})


def test_a_look_alike_of_an_argument_that_no_condition_reads_is_nobodys_concern():
    assert Truth.TRUE is truth('args.path == "a"', arguments={"path": "a", "env": 1, "ENV": 2})
    assert Truth.TRUE is truth("jwt.level == 3", arguments={"path": "a", "Path": "b"})


@pytest.mark.parametrize(("over", "expected"), [(0, Truth.TRUE), (1, Truth.ERROR)])
def test_a_condition_reads_the_arguments_of_a_body_up_to_the_limit_and_of_no_larger_one(over, expected):
    caller = Caller.of(principal(), "demo")
    request = post(b"x" * (100 + over))
    asked = EvaluationContext(caller, request, "tools/call", {"a": 1}, args_bytes=100)

    assert expected is asked.truth(condition("args.a == 1"), tool("echo"))


INEXACT = InexactNumber("9007199254740993")


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("args.n != 1", {"n": INEXACT}),
        ("args.n.m != 1", {"n": {"m": INEXACT}}),
        ("size(args.n) == 1", {"n": [[INEXACT]]}),
        ("size(args) == 1", {"n": {"m": INEXACT}}),
        ('args.path == "/a"', {"path": "/a", "Path": "/b"}),
        ('args.path == "/a"', {"path": "/a", "p\uff41th": "/b"}),
        ('args.path == "/a"', {"path": "/a", "path\0": "/b"}),
        ('args.path == "/a"', {"path": "/a", "__proto__": {"path": "/b"}}),
        ("!has(args.path)", {"PATH": "/b"}),
        ("!has(args.path)", {"constructor": {"prototype": {"path": "/b"}}}),
        ('args.o.path == "/a"', {"o": {"path": "/a", "Path": "/b"}}),
        ('args.o["path"] == "/a"', {"o": {"path": "/a"}, "O": {"path": "/b"}}),
        ('args.o["path"] == "/a"', {"o": {"path": "/a", "prototype": 1}}),
        ("size(args.env) == 2", {"env": {"http_proxy": 1, "HTTP_PROXY": 2}}),
        ("args.l.exists(x, x.a == 1)", {"l": [{"a": 1, "A": 2}]}),
        ("args.prototype == 1", {"prototype": 1}),
    ],
)
def test_arguments_that_a_condition_reads_and_another_parser_reads_otherwise_are_an_error(text, arguments):
    assert Truth.ERROR is truth(text, arguments=arguments)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('args.path == "/a"', {"path": "/a", "n": INEXACT}),
        ('args.path == "/a"', {"path": "/a", "env": {"http_proxy": 1, "HTTP_PROXY": 1, "__proto__": {}}}),
        ('args.o.path == "/a"', {"o": {"path": "/a", "n": INEXACT, "x": [{"a": 1, "A": 2}]}}),
        ('args.o["path"] == "/a" && args.p == 1', {"o": {"path": "/a", "P": 2}, "p": 1, "Path": "/b"}),
        ('mcp.tool.name == "echo"', {"a": INEXACT, "A": 1}),
    ],
)
def test_what_a_condition_does_not_read_of_the_arguments_is_not_looked_at(text, arguments):
    assert Truth.TRUE is truth(text, arguments=arguments)


def test_one_budget_pays_for_every_condition_of_a_request_and_what_was_read_costs_once():
    arguments = {"a": list(range(10)), "b": list(range(10))}
    asked = changed(context(arguments=arguments), budget=Budget(nodes=15, characters=0))
    reading = ["size(args.a) == 10", "args.a[9] == 9", "size(args.b) == 10", "args.a[0] == 0"]

    assert [Truth.TRUE, Truth.TRUE, Truth.ERROR, Truth.TRUE] == [
        asked.truth(condition(text), tool("echo")) for text in reading
    ]
    assert Truth.ERROR is asked.truth(condition("args.a.b == 1"), tool("echo"))


def test_foreign_names_are_compared_only_as_far_as_the_budget_pays():
    arguments = {"a": 1, "\u00e9" * 10: 1, "\u00e8" * 10: 1}
    answers = [
        changed(context(arguments=arguments), budget=Budget(nodes=9, characters=characters)).truth(
            condition("args.a == 1"), tool("echo")
        )
        for characters in (20, 19)
    ]

    assert [Truth.TRUE, Truth.ERROR] == answers

"""What a condition sees: the verified caller, the request without its credentials, the item; and what it does not."""

import pytest

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext, visible_headers
from authz.core.policy.expression import Truth
from tests.support.core import condition, context, post, principal, tool

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

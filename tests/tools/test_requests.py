import json

import pytest

from authz.core.identity.principal import Caller, TokenRejected
from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.tools.requests import decide, message_of, post, server_named, use
from tests.support.core import principal, server
from tests.support.policy_files import NATIVE, settings

SETTINGS = settings(NATIVE)
(SERVER,) = SETTINGS.directory.servers
CALLER = Caller.of(principal(), SERVER.name)


@pytest.mark.parametrize(
    ("kind", "method", "params"),
    [
        (Kind.TOOL, "tools/call", {"name": "x", "arguments": {"n": 1}}),
        (Kind.PROMPT, "prompts/get", {"name": "x", "arguments": {"n": 1}}),
        (Kind.RESOURCE, "resources/read", {"uri": "x"}),
        (Kind.TASK, "tasks/get", {"taskId": "x"}),
    ],
)
def test_each_kind_of_item_is_used_by_its_method_and_only_calls_have_arguments(kind, method, params):
    body = json.loads(use(Item(kind, "x"), {"n": 1}))

    assert (method, params) == (body["method"], body["params"])


@pytest.mark.parametrize(
    ("name", "who", "reason"),
    [
        ("echo", CALLER, Reason.ALLOWED),
        ("other", CALLER, Reason.NO_RULE),
        ("echo", TokenRejected(reason=Reason.EXPIRED_TOKEN, detail="x"), Reason.EXPIRED_TOKEN),
    ],
)
def test_the_engine_decides_for_the_given_caller(name, who, reason):
    assert reason is decide(SETTINGS, post(SERVER, use(Item(Kind.TOOL, name))), who).reason


@pytest.mark.parametrize(
    ("headers", "reason"),
    [({"content-type": "text/plain"}, Reason.BAD_CONTENT_TYPE), ({"mcp-method": "tools/list"}, None)],
)
def test_given_headers_are_part_of_the_request(headers, reason):
    decision = decide(SETTINGS, post(SERVER, use(Item(Kind.TOOL, "echo")), headers), CALLER)

    assert reason is None or reason is decision.reason
    assert headers.items() <= post(SERVER, b"", headers).headers.items()


@pytest.mark.parametrize(
    ("changes", "host"),
    [
        ({}, "mcp.example"),
        ({"resource": "", "hosts": frozenset({"*", "b.example", "a.example"})}, "a.example"),
        ({"resource": "", "hosts": frozenset({"*"})}, "localhost"),
        ({"resource": "https://public.example/mcp", "hosts": frozenset({"inner"})}, "inner"),
    ],
)
def test_the_host_is_one_that_selects_the_server(changes, host):
    assert host == post(server(**changes), b"").host


def test_a_body_that_the_service_rejects_has_no_message():
    assert message_of(SETTINGS, post(SERVER, b"{"), SERVER) is None
    assert "tools/call" == message_of(SETTINGS, post(SERVER, use(Item(Kind.TOOL, "echo"))), SERVER).method


@pytest.mark.parametrize(("name", "found"), [("", None), ("two", "two"), ("three", None)])
def test_an_empty_name_means_the_only_server(name, found):
    servers = {"one": server(name="one"), "two": server(name="two")}
    named = server_named(servers, name)

    assert found == (named and named.name)
    assert "one" == server_named({"one": servers["one"]}, "").name

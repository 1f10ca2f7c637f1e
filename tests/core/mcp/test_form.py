"""A body that is refused for its form: the rule that it breaks, and where, in words that hold nothing of it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings

from authz.core.denial import render_denial
from authz.core.mcp.form import BrokenRule, broken_rule
from authz.core.mcp.message import MessageRejected, read_message
from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, Limits
from tests.core.mcp.test_message import BODIES
from tests.support.core import MODERN, check, message, mirrored, modern, post, server, snapshot

VERSION = "/params/_meta/io.modelcontextprotocol~1protocolVersion"
CAPABILITIES = "/params/_meta/io.modelcontextprotocol~1clientCapabilities"
NAMED = "must be there and name what the method is about, unambiguously"
LOOKALIKE = "no key may look like a key of the protocol without being it"
OBJECT = "must be an object"


def broken(body, headers=None, limits=DEFAULT_LIMITS):
    """Read a body that is refused, and give the rule that it breaks."""
    request = post(body, headers)
    rejected = read_message(request, limits=limits)
    assert isinstance(rejected, MessageRejected)
    return broken_rule(request, rejected.reason, limits)


CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{%b}}}'
NO_JSON = {
    "a key twice in the arguments": (CALL % b'"a":1,"a":2', "duplicate key", "/params/arguments"),
    "a key twice at the top": (b'{"id":1,"id":2}', "duplicate key", ""),
    "a key twice in the params": (b'{"id":1,"params":{"x":{"a":1,"a":2}}}', "duplicate key", "/params"),
    "a foreign member": (b'{"id":1,"x":{"a":1,"a":2}}', "duplicate key", ""),
    "cut short": (b'{"id":1', "not JSON", ""),
    "not UTF-8": (b'{"id":1,"method":"\xff"}', "not UTF-8", "/method"),
    "nothing": (b"", "not JSON", ""),
}


@pytest.mark.parametrize(("body", "text", "pointer"), NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_no_strict_json_is_told_why_and_where(body, text, pointer):
    assert BrokenRule(text, pointer) == broken(body)


def test_deep_nesting_is_named_and_found():
    body = CALL % (b'"a":' + b"[" * 9 + b"]" * 9)

    assert BrokenRule("nested too deeply", "/params/arguments") == broken(body, limits=Limits(depth=8))


SCHEMA = {"ref": {"type": "ref/prompt", "Name": "y", "name": "x"}}
NO_MESSAGE = {
    "no object": (b"7", None, BrokenRule(OBJECT)),
    "no jsonrpc": (message("ping", jsonrpc=...), None, BrokenRule('must be "2.0"', "/jsonrpc")),
    "a lookalike": (message("ping", Method="x"), None, BrokenRule(LOOKALIKE)),
    "no method": (
        {"jsonrpc": "2.0", "id": 1},
        None,
        BrokenRule("a message has a method, or a result, or an error"),
    ),
    "a method that is a number": (message(7), None, BrokenRule("must be a string", "/method")),
    "an empty method": (message(""), None, BrokenRule("must not be empty", "/method")),
    "an id of null": (
        message("ping", id=None),
        None,
        BrokenRule("must be a string of moderate length or an integer", "/id"),
    ),
    "no id": (message("tools/list", id=...), None, BrokenRule("a request needs an id", "/id")),
    "an id too many": (
        message("notifications/initialized"),
        None,
        BrokenRule("a notification has no id", "/id"),
    ),
    "an outcome": (
        message("ping", result={}),
        None,
        BrokenRule("a request has no result and no error", ""),
    ),
    "params": ({**message("ping"), "params": []}, None, BrokenRule(OBJECT, "/params")),
    "a lookalike in params": (message("ping", {"Name": 1}), None, BrokenRule(LOOKALIKE, "/params")),
    "meta": (message("ping", {"_meta": 1}), None, BrokenRule(OBJECT, "/params/_meta")),
    "no name": (message("tools/call", {"arguments": {}}), None, BrokenRule(NAMED, "/params/name")),
    "no uri": (message("resources/subscribe", {}), None, BrokenRule(NAMED, "/params/uri")),
    "no task": (message("tasks/result", {}), None, BrokenRule(NAMED, "/params/taskId")),
    "no reference": (message("completion/complete", {}), None, BrokenRule(NAMED, "/params/ref")),
    "a lookalike in a reference": (
        message("completion/complete", SCHEMA),
        None,
        BrokenRule(LOOKALIKE, "/params/ref"),
    ),
    "a long name": (
        message("tools/call", {"name": "x" * 2049}),
        None,
        BrokenRule(NAMED, "/params/name"),
    ),
    "arguments": (
        message("tools/call", {"name": "x", "arguments": []}),
        None,
        BrokenRule(OBJECT, "/params/arguments"),
    ),
    "no capabilities": (
        modern("tools/list", {"_meta": {"io.modelcontextprotocol/protocolVersion": MODERN}}),
        mirrored("tools/list"),
        BrokenRule("2026-07-28 needs an object here", CAPABILITIES),
    ),
    "no version": (
        message("tools/list"),
        mirrored("tools/list"),
        BrokenRule("2026-07-28 needs a string here", VERSION),
    ),
    "another version": (
        modern("tools/list"),
        mirrored("tools/list", version="2025-11-25"),
        BrokenRule("the header MCP-Protocol-Version must repeat this", VERSION),
    ),
    "another method": (
        message("ping"),
        {"mcp-method": "x"},
        BrokenRule("the header Mcp-Method must repeat this", "/method"),
    ),
    "another name": (
        modern("tools/call", {"name": "a"}),
        mirrored("tools/call", "b"),
        BrokenRule("the header Mcp-Name must repeat this", "/params/name"),
    ),
}


@pytest.mark.parametrize(("body", "headers", "rule"), NO_MESSAGE.values(), ids=NO_MESSAGE)
@pytest.mark.requirement("protocol.form")
def test_a_body_that_is_no_message_is_told_why_and_where(body, headers, rule):
    assert rule == broken(body, headers)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES)
def test_for_every_refusal_of_a_message_a_rule_is_found(body):
    request = post(json.dumps(body).encode())
    rejected = read_message(request)

    if isinstance(rejected, MessageRejected) and rejected.reason in {Reason.BAD_JSON, Reason.BAD_MESSAGE}:
        assert broken_rule(request, rejected.reason, DEFAULT_LIMITS) is not None


def told(body, headers=None):
    request = post(body, headers)
    target = server()
    return json.loads(
        render_denial(check(request, snapshot(target, max_body=1 << 20)), target, request, "i").body
    )


def test_the_client_is_told_the_rule_and_the_place_and_gets_its_id_back():
    answer = told(message("tools/call", {"arguments": {"secret": "canary"}}, id=9))

    assert 9 == answer["id"]
    assert (
        f"the request body is not a JSON-RPC message of MCP: /params/name: {NAMED}"
        == (answer["error"]["message"])
    )
    assert (NAMED, "/params/name") == (answer["error"]["data"]["form"], answer["error"]["data"]["pointer"])


@pytest.mark.parametrize("size", [1, 200_000])
def test_the_id_of_a_message_of_any_size_is_kept(size):
    padding = json.dumps("x" * size).encode()

    assert [1, 1] == [
        told(CALL % (b'"a":' + padding + b',"a":1'))["id"],
        told(message("tools/call", {"arguments": {"a": "x" * size}}))["id"],
    ]


@pytest.mark.parametrize(
    "headers", [{"authorization": ...}, {"content-type": "text/plain"}, {"origin": "https://evil.example"}]
)
def test_a_request_that_is_refused_before_its_body_is_read_keeps_its_id(headers):
    assert "a" == told(message("ping", id="a"), headers)["id"]


def test_a_body_that_is_too_large_to_read_twice_is_not_explained():
    assert broken(CALL % (b'"a":"' + b"x" * 70_000 + b'","a":1')) is None

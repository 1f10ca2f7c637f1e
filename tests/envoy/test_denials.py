"""Denials through Envoy as clients meet them: what ends no session, what is not found, and what a model can read."""

import json

import pytest

from tests.support.legacy import INITIALIZE, legacy, lines
from tests.support.wire import LEGACY_HEADERS, ask, call

pytestmark = pytest.mark.envoy


@pytest.fixture
def reader(stack):
    return stack.token(scope="files:read")


@pytest.fixture
def session(port, reader):
    """The id of a session that was just begun."""
    opening = ask(port, reader, legacy("initialize", INITIALIZE), change=LEGACY_HEADERS)

    assert 200 == opening.status
    return opening.headers["mcp-session-id"]


NULLS = {
    "the handshake's end": (b'{"jsonrpc":"2.0","method":"notifications/initialized","params":null}', 202),
    "a list": (b'{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":null}}', 200),
}


@pytest.mark.parametrize(("body", "status"), NULLS.values(), ids=NULLS)
def test_a_client_that_writes_null_for_what_it_leaves_out_is_served(port, reader, session, body, status):
    change = {**lines(session), "content-length": str(len(body))}

    assert status == ask(port, reader, legacy("ping"), change=change, sent=body).status


FLAWS = {
    "an unknown method": (legacy("tools/destroy"), -32601),
    "a call without a name": (legacy("tools/call", {"arguments": {}}), -32602),
    "a key twice in the arguments": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1,"a":2}}}',
        -32700,
    ),
}


@pytest.mark.parametrize(("body", "code"), FLAWS.values(), ids=FLAWS)
def test_a_flaw_of_a_message_is_told_with_its_id_and_ends_no_session(port, reader, session, body, code):
    answer = ask(port, reader, body, change=lines(session))

    assert (200, code, 1) == (answer.status, answer.error["code"], json.loads(answer.body)["id"])
    assert 200 == ask(port, reader, legacy("tools/list"), change=lines(session)).status


def test_a_session_of_nobody_is_what_404_means(port, reader):
    answer = ask(port, reader, legacy("tools/list"), change=lines("made-up"))

    assert (404, -32001) == (answer.status, answer.error["code"])


def test_a_denied_call_is_a_result_that_says_what_is_missing(port, reader, session):
    answer = ask(
        port, reader, legacy("tools/call", {"name": "system_status", "arguments": {}}), change=lines(session)
    )
    result = json.loads(answer.body)["result"]

    assert (200, True, "no_rule") == (answer.status, result["isError"], answer.reason)
    assert result["content"][0]["text"].startswith("access denied: ")


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "OPTIONS"])
def test_a_method_of_http_that_carries_no_message_is_405_with_what_is_allowed(port, reader, verb):
    answer = ask(port, reader, legacy("ping"), start=f"{verb} /mcp HTTP/1.1", change=LEGACY_HEADERS)

    assert (405, "POST, GET, DELETE") == (answer.status, answer.headers["allow"])


@pytest.mark.parametrize("path", ["oauth-authorization-server", "oauth-authorization-server/mcp", "x"])
def test_a_well_known_path_that_is_nobodys_is_not_found(port, path):
    start = f"GET /.well-known/{path} HTTP/1.1"

    assert 404 == ask(port, None, b"", start=start, change={"content-type": None}).status


@pytest.mark.requirement("security.exact-bytes")
def test_bytes_that_envoy_shows_as_others_reach_the_server_as_they_were_judged(raw, raw_port, reader):
    """Envoy shows the byte FF as an exclamation mark, and so that is what was judged."""
    raw.script = [b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"]
    more = [("mcp-param-city", "caf\xff"), ("x-other", "caf\xff")]

    assert 202 == ask(raw_port, reader, call("echo"), more=more).status
    sent = raw.seen[-1].lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert [b"mcp-param-city: caf!", b"x-other: caf\xff"] == sorted(
        line for line in sent if line.startswith((b"mcp-param-city", b"x-other"))
    )

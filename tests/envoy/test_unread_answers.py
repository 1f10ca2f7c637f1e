"""A server with `answers: lists` behind a real Envoy: calls in a session pass unread, lists and streams do not."""

import json

import pytest

from tests.support.legacy import INITIALIZE, legacy, lines, without_body
from tests.support.raw_server import response, stream_head
from tests.support.running import TOOLS, another_gateway, metrics
from tests.support.wire import ask

pytestmark = pytest.mark.envoy

REPEATED = "application/json", "200 OK", "mcp-session-id: s-1"
EVERY_TOOL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": name} for name in TOOLS]}}
).encode()
EVENT = b"id: 7\ndata: " + EVERY_TOOL + b"\n\n"
ECHO = legacy("tools/call", {"name": "echo", "arguments": {}})


@pytest.fixture(scope="module")
def gateway(stack, raw):
    gateway = another_gateway(
        stack,
        "unread",
        upstream=f"http://127.0.0.1:{raw.port}/mcp",
        edit=lambda text: text.replace("    rules:", "    rewrite: {answers: lists}\n    rules:"),
    )
    gateway.start()
    return gateway


@pytest.fixture
def own(gateway, raw, user):
    """The id under which a caller may use a session that the server opened."""
    raw.script = [response(b'{"jsonrpc":"2.0","id":1,"result":{}}', *REPEATED)]
    return ask(gateway.ports.envoy, user, legacy("initialize", INITIALIZE), change=lines()).headers[
        "mcp-session-id"
    ]


def asked_for(gateway):
    """Count the answers for which the rewriter was asked."""
    return metrics(gateway).get('mcp_authz_rewrites_asked_total{server="demo"}', 0)


@pytest.mark.requirement("security.session-is-the-openers")
def test_a_call_in_a_session_passes_as_it_came_and_the_servers_id_stays_hidden(gateway, raw, user, own):
    before = asked_for(gateway)
    answers = []
    for answer in (response(EVERY_TOOL, *REPEATED), stream_head() + EVENT):
        raw.script = [answer]
        answers.append(ask(gateway.ports.envoy, user, ECHO, change=lines(own)))

    assert [EVERY_TOOL, EVENT] == [answer.body for answer in answers]
    assert own == answers[0].headers["mcp-session-id"] != "s-1"
    assert b"\r\nmcp-session-id: s-1\r\n" in raw.seen[-1].lower()
    assert before == asked_for(gateway)


def test_a_list_and_a_stream_in_a_session_are_read_and_trimmed(gateway, raw, user, own):
    raw.script = [response(EVERY_TOOL, *REPEATED)]
    listed = ask(gateway.ports.envoy, user, legacy("tools/list"), change=lines(own))
    raw.script = [stream_head() + EVENT]
    streamed = ask(gateway.ports.envoy, user, b"", **without_body("GET", own))

    assert (list(TOOLS[:2]), own) == (listed.tools, listed.headers["mcp-session-id"])
    assert [True, False] == [name.encode() in streamed.body for name in ("echo", "delete_file")]
    assert b"id: 7\n" not in streamed.body


@pytest.mark.requirement("security.session-is-the-openers")
def test_the_bare_id_of_an_event_that_was_not_read_resumes_nothing(gateway, raw, user, own):
    raw.script = [stream_head() + EVENT]
    before = len(raw.seen)
    resumed = ask(gateway.ports.envoy, user, b"", **without_body("GET", own, **{"last-event-id": "7"}))

    assert (404, "session_mismatch", before) == (resumed.status, resumed.reason, len(raw.seen))

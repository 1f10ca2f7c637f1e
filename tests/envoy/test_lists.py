"""What a client gets of handmade lists: everything byte for byte but the items it may not see."""

import json
import socket
import threading

import pytest

from tests.support.raw_server import response, stream_head
from tests.support.running import TOOLS, another_gateway
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, chunked, message, request, untagged

pytestmark = pytest.mark.envoy

LIST = message("tools/list")


@pytest.fixture(scope="module", params=["native", "aio"])
def gateway(stack, raw, request):
    """A gateway in front of the raw server, whose service uses one of the gRPC servers."""
    upstream = f"http://127.0.0.1:{raw.port}/mcp"
    gateway = another_gateway(
        stack, f"lists-by-{request.param}", upstream=upstream, grpc_server=request.param
    )
    gateway.start()
    return gateway


@pytest.fixture
def raw_port(gateway):
    return gateway.ports.envoy


SEEN = b'{"name" : "echo", "_meta":{"a": 1.10, "b":[1E2, 123456789012345678901234567890]} , "x-odd":"\\u00e9\xc3\xa9"}'
SEEN_TOO = b'{"inputSchema":{"default":-0.0,"n":1e400},"name":"get_user_info"}'
HIDDEN = b'{"name":"system_status","secret":"CANARY"}'
OTHER = b'"nextCursor":"c\\/1","_meta":{"z":1.10},"unknown" :[ 1E2 ],"resultType":"complete"'


def result(*tools: bytes, more: bytes = OTHER) -> bytes:
    """A compact envelope, so that what is not spliced can be compared as a whole."""
    return b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + b",".join(tools) + b"]," + more + b"}}"


def trimmed(*tools: bytes) -> bytes:
    return result(*tools)[:-2] + b',"cacheScope":"private"}}'


FULL = result(SEEN, HIDDEN, SEEN_TOO)
CUT = trimmed(SEEN, SEEN_TOO)


def sse(data: bytes) -> bytes:
    return b"event: message\nid: 7\ndata: " + data + b"\n\n"


def test_a_json_list_keeps_every_other_byte_and_gets_its_own_length(raw, raw_port, user):
    raw.script = [response(FULL)]
    answer = ask(raw_port, user, LIST)

    assert (200, "application/json") == (answer.status, answer.headers["content-type"])
    assert CUT.replace(b" :[ 1E2 ]", b":[ 1E2 ]") == answer.body
    assert str(len(answer.body)) == answer.headers["content-length"]


def test_an_event_streams_list_keeps_every_other_byte(raw, raw_port, user):
    before, after = b": hello\n\nretry: 10\n\n", b'data: {"jsonrpc":"2.0","method":"notifications/x"}\r\n\r\n'
    raw.script = [stream_head() + before + sse(FULL) + after]
    answer = ask(raw_port, user, LIST)

    assert before + sse(CUT.replace(b" :[ 1E2 ]", b":[ 1E2 ]")) + after == untagged(answer.body)


def test_a_list_of_the_2025_versions_that_needs_no_cut_arrives_as_it_was(raw, raw_port, user):
    untouched = b' { "id":1, "jsonrpc":"2.0",\n"result" : {"tools" : [ ' + SEEN + b" ] } } "
    raw.script = [response(untouched)]

    assert untouched == untagged(ask(raw_port, user, LIST).body)


@pytest.mark.parametrize("scope", [b'"public"', b'"private"', b"null", b"7"])
def test_whatever_scope_the_server_gives_its_list_is_private(raw, raw_port, admin, scope):
    raw.script = [response(result(SEEN, more=b'"cacheScope":' + scope + b',"ttlMs":0'))]
    seen = json.loads(ask(raw_port, admin, LIST).body)["result"]

    assert ("private", 0) == (seen["cacheScope"], seen["ttlMs"])


@pytest.mark.parametrize("ttl", [b"999999999999", b"1e300", b'"1"', b"null"])
@pytest.mark.requirement("protocol.lists-die-with-the-token")
def test_a_list_may_not_be_kept_longer_than_the_token_lives(stack, raw, raw_port, ttl):
    token = stack.token(ttl=100)
    raw.script = [response(result(SEEN, more=b'"cacheScope":"public","ttlMs":' + ttl))]
    seen = json.loads(ask(raw_port, token, LIST).body)["result"]["ttlMs"]

    assert 100_000 - DEADLINE * 1000 <= seen <= 100_000


def test_a_ttl_shorter_than_the_tokens_life_stays(raw, raw_port, user):
    raw.script = [response(result(SEEN, more=b'"cacheScope":"private","ttlMs":1500.0'))]

    assert b'"ttlMs":1500.0' in ask(raw_port, user, LIST).body


@pytest.mark.requirement("protocol.events-pass")
def test_an_event_that_is_no_list_passes_at_once_and_unchanged(raw, raw_port, user):
    """The server goes on only when the client has read the first event."""
    read, first = threading.Event(), b'data: {"jsonrpc":"2.0", "method":"notifications/progress"}\n\n'
    raw.script = [stream_head() + first, read, sse(FULL)]
    with socket.create_connection(("127.0.0.1", raw_port), timeout=DEADLINE) as connection:
        connection.sendall(request(raw_port, user, LIST))
        got = b""
        while first not in got:
            part = connection.recv(65536)
            assert part
            got += part
        assert b"echo" not in got
        read.set()
        while part := connection.recv(65536):
            got += part
            if got.endswith(b"0\r\n\r\n"):
                break

    assert b'"echo"' in got
    assert b"CANARY" not in got


def test_the_server_is_asked_for_a_list_without_content_coding(raw, raw_port, user):
    raw.script, before = [response(FULL)], len(raw.seen)
    ask(raw_port, user, LIST, more=[("accept-encoding", "gzip, br")])

    assert b"accept-encoding" not in raw.seen[before].lower()


BROTLI = response(b"\x0b", "application/json", "200 OK", "content-encoding: br")
BOM = b"\xef\xbb\xbf"
BATCH = b"[" + FULL + b"]"
WITH_ERROR = FULL[:-1] + b',"error":{"code":1,"message":"m"}}'
NOTIFIED = b'{"jsonrpc":"2.0","method":"notifications/x","result":{"tools":[' + HIDDEN + b"]}}"
TWICE = FULL.replace(b'"tools":[', b'"tools":[],"tools":[')
FOLDED = FULL.replace(b'"tools"', b'"Tools"')
LONG = result(HIDDEN, SEEN, more=b'"pad":"' + b"x" * (16 << 20) + b'"')

REFUSED = {
    "brotli": BROTLI,
    "text/plain": response(FULL, "text/plain"),
    "no media type": response(FULL, ""),
    "json with a suffix": response(FULL, "application/problem+json"),
    "UTF-16": response(FULL.decode().encode("utf-16"), "application/json; charset=utf-16"),
    "byte order mark": response(BOM + FULL),
    "batch": response(BATCH),
    "error and result": response(WITH_ERROR),
    "list in a notification": response(NOTIFIED),
    "key twice": response(TWICE),
    "key in capitals": response(FOLDED),
    "cut short": response(FULL[:-1]),
    "second document": response(FULL + b"{}"),
    "no UTF-8": response(FULL.replace(b"CANARY", b"CANARY\xff")),
    "too long": response(LONG),
    "events called JSON": response(sse(FULL)),
}


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.requirement("protocol.unjudgeable-list")
def test_a_list_that_cannot_be_judged_is_502_and_shows_nothing(raw, raw_port, user, sent):
    raw.script = [sent]
    answer = ask(raw_port, user, LIST)

    assert (502, -32603) == (answer.status, answer.error["code"])
    assert b"CANARY" not in answer.body


JUDGED = {
    "status 201": response(FULL, status="201 Created"),
    "status 206": response(FULL, status="206 Partial Content"),
    "an error without a label": response(FULL, "", "500 Internal Server Error"),
    "an error in plain text": response(FULL, "text/plain", "404 Not Found"),
    "media type in capitals": response(FULL, "Application/JSON ; charset=UTF-8"),
    "coding identity": response(FULL, "application/json", "200 OK", "content-encoding: identity"),
    "chunked": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    + chunked(FULL, 7),
    "until the end": stream_head("application/json") + FULL,
    "another id": response(FULL.replace(b'"id":1', b'"id":"zzz"')),
    "event": stream_head() + sse(FULL),
    "event after a byte order mark": stream_head() + BOM + sse(FULL),
    "event in two data lines": stream_head() + sse(FULL.replace(b'{"tools', b'{\ndata: "tools')),
    "event with CR": stream_head() + sse(FULL).replace(b"\n", b"\r"),
    "event with CR LF": stream_head() + sse(FULL).replace(b"\n", b"\r\n"),
    "event without an end": stream_head() + sse(FULL).rstrip(b"\n"),
    "event of another name": stream_head() + sse(FULL).replace(b"event: message", b"event: x"),
}


@pytest.mark.parametrize("sent", JUDGED.values(), ids=JUDGED.keys())
@pytest.mark.requirement("protocol.lists-are-trimmed")
def test_in_whatever_form_it_comes_a_list_is_trimmed(raw, raw_port, user, sent):
    raw.script = [sent]
    answer = ask(raw_port, user, LIST)

    assert sent[9:12].decode() == str(answer.status)
    assert b"CANARY" not in answer.body
    assert b"echo" in answer.body


DISGUISED = {
    "batch": sse(BATCH),
    "error and result": sse(WITH_ERROR),
    "list in a notification": sse(NOTIFIED),
    "key twice": sse(TWICE),
    "no UTF-8": sse(FULL.replace(b"CANARY", b"CANARY\xff")),
    "list in a comment": b": " + FULL + b"\ndata: x\n\n",
    "list in an unknown field": b"Data: " + FULL + b"\n\n",
    "list in an id": b"id: " + FULL + b"\ndata: 1\n\n",
    "two messages": sse(FULL + b"\ndata: " + FULL),
    "line separator": sse(b"{}\xe2\x80\xa8data: " + FULL),
}


@pytest.mark.parametrize("event", DISGUISED.values(), ids=DISGUISED.keys())
def test_a_disguised_list_in_a_stream_is_replaced_and_the_events_after_it_are_still_judged(
    raw, raw_port, user, event
):
    raw.script = [stream_head() + event + sse(FULL)]
    answer = ask(raw_port, user, LIST)

    assert 200 == answer.status
    assert b"CANARY" not in answer.body
    assert untagged(answer.body).endswith(sse(CUT.replace(b" :[ 1E2 ]", b":[ 1E2 ]")))


@pytest.mark.parametrize("cut", [1, 2, 5, 17])
def test_however_the_stream_is_cut_the_list_is_trimmed_alike(raw, raw_port, user, cut):
    data = sse(FULL)
    parts = [data[at : at + len(data) // cut] for at in range(0, len(data), len(data) // cut)]
    raw.script = [stream_head(), *parts]

    assert sse(CUT.replace(b" :[ 1E2 ]", b":[ 1E2 ]")) == untagged(ask(raw_port, user, LIST).body)


@pytest.mark.requirement("protocol.lists-by-shape", "protocol.get-is-read")
def test_a_list_that_a_get_stream_redelivers_is_trimmed(raw, raw_port, user):
    reading = {"content-type": None, "mcp-protocol-version": "2025-06-18"}
    raw.script = [stream_head() + b"id: 6\ndata:\n\n"]
    begun = ask(raw_port, user, b"", start="GET /mcp HTTP/1.1", change=reading).body
    again = {**reading, "last-event-id": begun.split()[1].decode()}
    raw.script = [stream_head() + sse(FULL)]
    answer = ask(raw_port, user, b"", start="GET /mcp HTTP/1.1", change=again)

    assert (200, sse(CUT.replace(b" :[ 1E2 ]", b":[ 1E2 ]"))) == (answer.status, untagged(answer.body))


@pytest.mark.parametrize("status", ["400 Bad Request", "404 Not Found", "500 Internal Server Error"])
def test_an_error_of_the_server_passes_as_it_is(raw, raw_port, user, status):
    body = b'{"jsonrpc":"2.0","id":1, "error":{"code":-1,"message":"m"}}'
    raw.script = [response(body, status=status)]
    answer = ask(raw_port, user, LIST)

    assert (status[:3], body) == (str(answer.status), answer.body)


@pytest.mark.requirement("security.list-is-callable")
def test_a_list_is_trimmed_by_the_same_rules_as_calls(stack, port):
    """Of each of four callers: what is listed is what can be called with some arguments."""
    callers = [
        {},
        {"scope": "files:read"},
        {"roles": ["admin"]},
        {"scope": "files:delete", "roles": ["admin"]},
    ]
    needs = {"list_files": "path", "delete_file": "filename", "echo": "message"}
    for fields in callers:
        token = stack.token(**fields)
        called = [
            tool
            for tool in TOOLS
            if not ask(
                port,
                token,
                message("tools/call", {"name": tool, "arguments": {needs.get(tool, "x"): "/inbox/"}}),
            ).reason
        ]

        assert called == ask(port, token, LIST).tools

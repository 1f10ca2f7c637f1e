"""Streams through a real Envoy: at once, unchanged, side by side, and without a buffer that a slow reader fills.

The MCP server here answers in given bytes, so that it is known to the byte what it sent. It runs in the process of the
tests, which tell it when to go on: what arrived before that was held back by nobody.
"""

import contextlib
import http.client
import itertools
import json
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.raw_server import raw_server, response, stream_head
from tests.support.running import another_gateway, tokens_of
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import LEGACY_HEADERS, ask, call, legacy, message, request, untagged

pytestmark = pytest.mark.envoy

USERS = 200
SESSION = {**LEGACY_HEADERS, "mcp-session-id": "to be bound"}
STREAM = {"content-type": None, **LEGACY_HEADERS}
KINDS = [
    ({}, ["echo", "get_user_info"]),
    ({"scope": "files:read"}, ["echo", "get_user_info", "list_files"]),
    ({"roles": ["admin"]}, ["echo", "get_user_info", "system_status"]),
]
TOOLS = ["echo", "get_user_info", "list_files", "delete_file", "system_status"]
EVERY_TOOL = json.dumps(
    {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": name} for name in TOOLS]}},
    separators=(",", ":"),
).encode()
DONE = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'


LISTEN = message("subscriptions/listen", {"notifications": {"resourceSubscriptions": ["file:///public/a"]}})
ASKED = {
    "call of 2026": {"body": call()},
    "call in a session, which the rewriter reads": {
        "body": legacy("tools/call", {"name": "echo", "arguments": {}}),
        "change": SESSION,
    },
    "list, which the rewriter reads": {"body": message("tools/list")},
    "GET, which the rewriter reads": {"body": b"", "start": "GET /mcp HTTP/1.1", "change": STREAM},
    "subscription, which the rewriter reads": {"body": LISTEN},
}


@pytest.fixture(scope="module")
def server():
    with raw_server() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(stack, server):
    """A gateway in front of the raw server, whose callers may also use what is public and what is theirs."""
    more = ', resources: ["file:///public/*"], tasks: ["mine-*"]}'
    started = another_gateway(
        stack,
        "streams",
        upstream=f"http://127.0.0.1:{server.port}/mcp",
        edit=lambda text: text.replace(
            "tools: [echo, get_user_info]}", "tools: [echo, get_user_info]" + more
        ),
    )
    started.start()
    return started


@pytest.fixture(scope="module")
def port(gateway):
    return gateway.ports.envoy


@pytest.fixture(scope="module")
def tokens(stack):
    """Tokens of as many users, of three kinds in turn."""
    return tokens_of(stack, [{"sub": f"user-{n}", **KINDS[n % len(KINDS)][0]} for n in range(USERS)])


def in_session(server, port, token, asked):
    """A request as it is sent; one in a session gets the id under which its caller may use the server's."""
    change = asked.get("change") or {}
    if "mcp-session-id" not in change:
        return asked
    server.script = [response(DONE, "application/json", "200 OK", "mcp-session-id: s-1")]
    opening = ask(port, token, legacy("initialize"), change=LEGACY_HEADERS)
    return {**asked, "change": {**change, "mcp-session-id": opening.headers["mcp-session-id"]}}


@contextlib.contextmanager
def opened(port, data):
    """A connection on which a request was sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(data)
        yield connection


class Answer:
    """An answer that is read as it comes."""

    def __init__(self, connection, data):
        self.body = b""
        self._reply = http.client.HTTPResponse(connection, method=data.partition(b" ")[0].decode())

    def read_until(self, wanted):
        """Read on until the body ends in these bytes."""
        if not self.body:
            self._reply.begin()
        while not self.body.endswith(wanted):
            part = self._reply.read1(65536)
            assert part, self.body
            self.body += part


EVENTS = [
    b'event: message\r\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}\r\n\r\n',
    b": keep-alive\n\n",
    b"id: 308\r\ndata: \r\nretry: 100\r\n\r\n",
    b'id: 7\ndata: {"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"tools":[]}}\n\n',
    b'data: {"jsonrpc":"2.0","id":"e1","method":"elicitation/create",\rdata: "params":{}}\r\r',
    b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"\xc3\xa9"}}\n\n',
]


_ID = re.compile(rb"^id: [^\r\n]*[\r\n]+")


class Slow:
    """A server's call that sends each event only when the client got the one before."""

    def __init__(self):
        self.gates = [threading.Event() for _ in EVENTS]
        self.end = threading.Event()

    def script(self, _request):
        for number, (gate, event) in enumerate(zip(self.gates, EVENTS, strict=True)):
            yield gate
            yield event if number else stream_head() + event
        yield self.end
        yield b"data: " + DONE + b"\n\n"

    def body(self, port, data):
        """The body of one call, of which each event was read before the server went on."""
        with opened(port, data) as connection:
            answer = Answer(connection, data)
            for gate, event in zip(self.gates, EVENTS, strict=True):
                gate.set()
                answer.read_until(_ID.sub(b"", event))
            self.end.set()
            answer.read_until(DONE + b"\n\n")
        return untagged(answer.body)


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_each_event_reaches_the_client_before_the_server_sends_the_next_and_unchanged(
    server, port, tokens, asked
):
    data = request(port, tokens[0], **in_session(server, port, tokens[0], asked))
    server.script = (slow := Slow()).script

    assert b"".join(EVENTS) + b"data: " + DONE + b"\n\n" == slow.body(port, data)


LINES = b"\xef\xbb\xbf: hi\n\nid: 1\nevent: message\ndata: %b\ndata:  %b\nretry: 5\n\ndata:\n\n"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CR LF"])
def test_a_stream_that_comes_byte_by_byte_is_read_as_one(server, port, tokens, end):
    """A list over two data lines, after a byte order mark, with id, retry, comment and priming event around it."""
    half = EVERY_TOOL.index(b'"result"')
    stream = (LINES % (EVERY_TOOL[:half], EVERY_TOOL[half:])).replace(b"\n", end)
    server.script = lambda _: itertools.chain([stream_head()], (bytes([byte]) for byte in stream))
    mine = [
        b'{"name":"echo"},{"name":"get_user_info"}',
        *(b'{"name":"%b"}' % name.encode() for name in TOOLS[2:]),
    ]
    cut = EVERY_TOOL.replace(b",".join(mine), mine[0])
    expected = (LINES.replace(b"\ndata:  %b", b"") % cut).replace(b"\n", end)

    assert expected == untagged(ask(port, tokens[0], **ASKED["list, which the rewriter reads"]).body)


UPDATED = 'data: {{"jsonrpc":"2.0","method":"notifications/{}","params":{{"{}":"{}"}}}}\n\n'


@pytest.mark.parametrize(
    "asked", [ASKED["GET, which the rewriter reads"], ASKED["subscription, which the rewriter reads"]]
)
def test_a_stream_does_not_tell_of_what_its_reader_may_not_use(server, port, tokens, asked):
    shown = [
        UPDATED.format("resources/updated", "uri", "file:///public/a").encode(),
        UPDATED.format("tasks/status", "taskId", "mine-1").encode(),
        UPDATED.format("tasks", "taskId", "mine-1").encode(),
        b'data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n',
    ]
    hidden = [
        UPDATED.format("resources/updated", "uri", "file:///CANARY").encode(),
        UPDATED.format("resources/updated", "uri", "file:///public/../CANARY").encode(),
        UPDATED.format("tasks/status", "taskId", "CANARY").encode(),
        UPDATED.format("tasks", "taskId", "CANARY").encode(),
    ]
    server.script = [
        stream_head(),
        *(b"id: 1\n" + each for pair in zip(hidden, shown, strict=True) for each in pair),
    ]
    answer = ask(port, tokens[0], **asked)

    assert b"".join(b"id: 1\n\nid: 1\n" + each for each in shown) == untagged(answer.body)


def test_a_subscription_to_what_may_not_be_read_never_arrives(server, port, tokens):
    server.script, before = [response(DONE)], len(server.seen)
    for key, name in [("resourceSubscriptions", "file:///secret"), ("taskIds", "theirs-1")]:
        wanted = {"notifications": {"resourceSubscriptions": ["file:///public/a"], key: [name]}}

        assert "no_rule" == ask(port, tokens[0], message("subscriptions/listen", wanted)).reason
    assert [] == server.seen[before:]


def test_200_open_streams_do_not_disturb_calls_and_calls_do_not_disturb_them(server, port, tokens):
    """No stream goes on before every call was answered."""
    go_on, last = threading.Event(), b"id: 2\ndata: {}\n\n".replace(b"{}", DONE)

    def script(asked):
        if asked.startswith(b"GET"):
            return [stream_head() + b": open\n\n", go_on, last]
        return [response(EVERY_TOOL if b"tools/list" in asked else DONE)]

    server.script = script
    streams = []
    with contextlib.ExitStack() as stack:
        for token in tokens:
            data = request(port, token, b"", start="GET /mcp HTTP/1.1", change=STREAM)
            streams.append(Answer(stack.enter_context(opened(port, data)), data))
            streams[-1].read_until(b": open\n\n")
        for token, (_, names) in zip(tokens[:30], itertools.cycle(KINDS), strict=False):
            called = ask(port, token, call())
            assert (200, DONE) == (called.status, called.body)
            assert names == ask(port, token, message("tools/list")).tools
        go_on.set()
        for stream in streams:
            stream.read_until(b"data: " + DONE + b"\n\n")

    assert USERS == len(streams)


FORMS = {
    "JSON of 2026": (message("tools/list"), {}, response(EVERY_TOOL)),
    "events of 2026": (message("tools/list"), {}, stream_head() + b"data: " + EVERY_TOOL + b"\n\n"),
    "JSON of a session": (legacy("tools/list"), SESSION, response(EVERY_TOOL)),
    "events of a session": (legacy("tools/list"), SESSION, stream_head() + b"data: " + EVERY_TOOL + b"\n\n"),
}


@pytest.mark.parametrize(("body", "change", "answer"), FORMS.values(), ids=FORMS.keys())
def test_200_users_whose_requests_of_one_id_are_all_under_way_each_get_their_own_list(
    server, port, tokens, body, change, answer
):
    """The server answers nobody before it has heard everybody."""
    sent = [in_session(server, port, token, {"body": body, "change": change}) for token in tokens]
    everybody = threading.Barrier(USERS)
    server.script = [lambda: everybody.wait(DEADLINE), answer]

    def names(token, asked):
        text = ask(port, token, **asked).body.removeprefix(b"data: ")
        return [tool["name"] for tool in json.loads(text)["result"]["tools"]]

    with ThreadPoolExecutor(USERS) as users:
        lists = list(users.map(names, tokens, sent))

    assert [KINDS[number % len(KINDS)][1] for number in range(USERS)] == lists


MIB = 1 << 20
FLOOD = (
    b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"' + b"x" * 60_000 + b'"}}\n\n'
)


def _resident(stack, name):
    """Bytes of memory that a child process of the stack holds."""
    status = Path(f"/proc/{stack.supervisor._running[name].pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


def _stopped(server):
    """Whether the server got rid of nothing for half a second."""
    before = server.sent
    threading.Event().wait(0.5)
    return before == server.sent


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc, from which memory is read: Linux"
)
@pytest.mark.parametrize(
    "asked", [ASKED["GET, which the rewriter reads"], ASKED["list, which the rewriter reads"]]
)
@pytest.mark.requirement("protocol.slow-readers")
def test_readers_that_do_not_read_hold_the_server_up_and_fill_no_memory(
    stack, gateway, server, port, tokens, asked
):
    """Measured: 10 to 12 MiB a reader until the server waits, with what the kernel holds, and 2 to 6 MiB of growth in
    the service and in Envoy; without bounds on the windows of HTTP/2 it was 22 MiB, and 16 MiB in Envoy.
    """
    readers, parts = 5, (gateway.service_name, gateway.envoy_name)
    server.script, server.sent = lambda _: itertools.chain([stream_head()], itertools.repeat(FLOOD)), 0
    before = [_resident(stack, part) for part in parts]
    with contextlib.ExitStack() as open_ones:
        for token in tokens[:readers]:
            open_ones.enter_context(opened(port, request(port, token, **asked)))

        assert eventually(lambda: server.sent > 0 and _stopped(server))
        assert server.sent < readers * 16 * MIB
        for part, held in zip(parts, before, strict=True):
            assert _resident(stack, part) - held < readers * 10 * MIB
        server.script = [response(DONE)]
        assert DONE == ask(port, tokens[-1], call()).body  # and nobody else waits


@pytest.mark.parametrize(
    "form", [response, lambda data: stream_head() + b"data: " + data + b"\n\n"], ids=["JSON", "event"]
)
def test_a_list_of_5000_tools_is_trimmed_to_the_byte(server, port, tokens, form):
    schema = {"type": "object", "properties": {"text": {"type": "string", "description": "x" * 700}}}
    tools = [
        json.dumps({"name": ("echo", "hidden")[n % 2], "title": f"{n}", "inputSchema": schema}).encode()
        for n in range(5000)
    ]
    frame = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[%b],"nextCursor":"5000"}}'
    full, cut = frame % b",".join(tools), frame % b",".join(tools[::2])
    server.script = [form(full)]
    answer = ask(port, tokens[0], message("tools/list"))

    assert len(full) > 4_000_000
    assert (200, cut) == (answer.status, answer.body.removeprefix(b"data: ").rstrip(b"\n"))


def _routes(config):
    """The routes of a configuration dump that lead to the MCP server."""
    if isinstance(config, list):
        return [route for each in config for route in _routes(each)]
    if not isinstance(config, dict):
        return []
    here = [config["route"]] if config.get("route", {}).get("cluster") == "mcp-demo" else []
    return here + _routes(list(config.values()))


@pytest.mark.requirement("protocol.idle-streams")
def test_no_route_to_the_server_has_envoys_own_time_limit_of_15_seconds(gateway):
    admin = f"http://127.0.0.1:{gateway.ports.admin}/config_dump"
    routes = _routes(httpx.get(admin, trust_env=False, timeout=DEADLINE).json())

    assert {"0s"} == {route.get("timeout") for route in routes}

"""What starves others: each input as bad as the limits allow, sent through a real Envoy while a victim calls.

The victim is another caller at another server of the same gateway and the same worker; all of its calls must succeed. How
long a piece of the serving thread an input takes is counted elsewhere (`bench/hostile.py`, `tests/property`).
"""

import contextlib
import select
import socket
import threading

import pytest

from authz.core.response.held import MAX_HELD
from tests.support.legacy import legacy, lines, without_body
from tests.support.raw_server import response, stream_head
from tests.support.running import another_gateway
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, message, receive, request

pytestmark = pytest.mark.envoy

ROOM = 1_048_576 - 4096
"""Bytes of a body for what makes it hostile."""
SHARE, OPENED = 16, 40
CALLS, ATTACKERS, TIMES = 12, 2, 3
"""How often the victim calls at least; how many attack, and how often each."""
EVENT = b"data: x\n\n"
ALLOWED = b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'
SETTINGS = f"workers: 1\nlimits: {{check_ms: 2000}}\nstreams: {{per_caller: {SHARE}}}\n"
VICTIM = """  victim:
    resource: ${DEMO_RESOURCE}-victim
    upstream: ${DEMO_UPSTREAM}
    issuers: [demo]
    rules:
      - allow: {tools: [get_user_info]}
"""


@pytest.fixture(scope="module")
def shared(stack, raw):
    """A gateway with one worker and two servers: the demo's, and the victim's at another path."""
    gateway = another_gateway(
        stack,
        "shared",
        upstream=f"http://127.0.0.1:{raw.port}/mcp",
        edit=lambda text: f"{SETTINGS}{text}{VICTIM}",
    )
    gateway.start()
    return gateway


def old(method, params):
    """A message of the versions that repeat nothing in headers, with the changes that `ask` takes."""
    return {"body": legacy(method, params), "change": lines()}


REQUESTS = {
    "7,000 keys of 40 x U+FDFA": old("ping", {"\ufdfa" * 40 + str(number): 1 for number in range(7000)}),
    "a URI of 1 MiB of %": old("resources/read", {"uri": "%" * ROOM}),
    "130,000 objects": old("tools/call", {"name": "echo", "arguments": {"a": [{"A": 1}] * (ROOM // 10)}}),
    "a subscription to 35,000 URIs": {
        "body": message(
            "subscriptions/listen",
            {"notifications": {"resourceSubscriptions": [f"file:///{number}" for number in range(35_000)]}},
        )
    },
}
"""Requests that are refused, whatever they cost."""
ITEMS = b",".join([b'{"name":"abcd"}'] * 900_000)
ANSWERS = {
    "1 MiB of blank lines as events": lambda: [stream_head() + b"\n" * 1_048_576],
    "a list of 900,000 items": lambda: [
        response(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + ITEMS + b"]}}")
    ],
}
"""What the attacker's server answers to a list."""


def victim_calls(raw, shared, token, attack, answers=lambda: ()):
    """Let the victim call again and again while everybody attacks; gives the statuses of its answers."""

    def script(asked):
        return [response(ALLOWED)] if b"get_user_info" in asked else answers()

    raw.script = script
    attackers = [threading.Thread(target=attack, daemon=True) for _ in range(ATTACKERS)]
    port, seen = shared.ports.envoy, []
    for attacker in attackers:
        attacker.start()
    while len(seen) < CALLS or any(attacker.is_alive() for attacker in attackers):
        answer = ask(port, token, call("get_user_info"), start="POST /mcp-victim HTTP/1.1")
        seen.append((answer.status, answer.body))
    for attacker in attackers:
        attacker.join(DEADLINE)
    return set(seen)


@pytest.fixture
def victim(stack):
    return stack.token(sub="victim")


@pytest.fixture
def attacker(stack):
    return stack.token(sub="attacker", scope="files:read")


@pytest.mark.parametrize("attack", REQUESTS.values(), ids=REQUESTS)
def test_no_request_takes_the_victims_calls(raw, shared, victim, attacker, attack):
    statuses = []

    def send():
        statuses.extend(ask(shared.ports.envoy, attacker, **attack).status for _ in range(TIMES))

    assert {(200, ALLOWED)} == victim_calls(raw, shared, victim, send)
    assert ATTACKERS * TIMES == len(statuses)
    assert all(400 <= status < 500 for status in statuses)


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
def test_no_answer_of_a_server_takes_the_victims_calls(raw, shared, victim, attacker, answers):
    asked = []

    def send():
        asked.extend(ask(shared.ports.envoy, attacker, message("tools/list")) for _ in range(TIMES))

    assert {(200, ALLOWED)} == victim_calls(raw, shared, victim, send, answers)
    assert ATTACKERS * TIMES == len(asked)


def test_streams_that_are_held_open_do_not_take_the_victims_calls(raw, shared, victim, attacker):
    held, statuses = threading.Event(), []

    with contextlib.ExitStack() as stack:

        def send():
            for _ in range(OPENED // ATTACKERS):
                address = ("127.0.0.1", shared.ports.envoy)
                connection = stack.enter_context(socket.create_connection(address, DEADLINE))
                connection.sendall(request(shared.ports.envoy, attacker, b"", **without_body("GET")))
                statuses.append(int(connection.recv(65536).split(b" ")[1]))

        stack.callback(held.set)
        seen = victim_calls(raw, shared, victim, send, lambda: [stream_head() + EVENT, held])

    assert {(200, ALLOWED)} == seen
    assert {200: SHARE, 429: OPENED - SHARE} == {status: statuses.count(status) for status in set(statuses)}


def test_answers_that_never_end_do_not_take_the_victims_calls(raw, shared, victim, attacker):
    """Three of them fill the half of the budget that one server may have; the others are refused at once."""
    held, begun = threading.Event(), b'{"jsonrpc":"2.0","id":1,"result":{"tools":[' + ITEMS
    refused = ATTACKERS * TIMES - MAX_HELD // 2 // len(begun)

    with contextlib.ExitStack() as stack:
        connections = []

        def answered():
            return select.select(connections, [], [], 0)[0]

        def send():
            for _ in range(TIMES):
                address = ("127.0.0.1", shared.ports.envoy)
                connection = stack.enter_context(socket.create_connection(address, DEADLINE))
                connection.sendall(request(shared.ports.envoy, attacker, message("tools/list")))
                connections.append(connection)
            assert eventually(lambda: len(answered()) >= refused)

        stack.callback(held.set)
        seen = victim_calls(
            raw, shared, victim, send, lambda: [stream_head("application/json") + begun, held]
        )
        statuses = [receive(connection).status for connection in answered()]

    assert {(200, ALLOWED)} == seen
    assert [502] * refused == statuses

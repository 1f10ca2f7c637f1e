"""Streams beyond a caller's share, through a real Envoy: refused with 429, while lists and others' streams pass."""

import contextlib
import json
import socket
import threading

import pytest

from tests.support.legacy import without_body
from tests.support.raw_server import response, stream_head
from tests.support.running import another_gateway
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, message, request

pytestmark = pytest.mark.envoy

SHARE = 2
EVENT = b"data: x\n\n"
LIST = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}'


@pytest.fixture(scope="module")
def sharing(stack, raw):
    """A gateway with one worker in front of the raw server."""
    gateway = another_gateway(
        stack,
        "sharing",
        upstream=f"http://127.0.0.1:{raw.port}/mcp",
        edit=lambda text: f"{text}workers: 1\nstreams: {{per_caller: {SHARE}}}\n",
    )
    gateway.start()
    return gateway


@contextlib.contextmanager
def opened(port, token):
    """Hold a GET stream open in the block, from its first event on."""
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as connection:
        connection.settimeout(DEADLINE)
        connection.sendall(request(port, token, b"", **without_body("GET")))
        received = b""
        while EVENT not in received:
            received += connection.recv(4096) or pytest.fail(received.decode())
        yield


@pytest.mark.requirement("reason.too_many_streams")
def test_a_stream_beyond_the_share_is_refused_until_another_ends(stack, raw, sharing):
    port, token, other = sharing.ports.envoy, stack.token(), stack.token(sub="another")
    held = threading.Event()

    def one_more():
        raw.script = [stream_head() + EVENT]
        return ask(port, token, b"", **without_body("GET"))

    try:
        raw.script = [stream_head() + EVENT, held]
        with opened(port, token), opened(port, token), opened(port, other):
            refused = one_more()
            raw.script = [response(LIST)]
            listed = ask(port, token, message("tools/list"))
    finally:
        held.set()

    assert (429, "too_many_streams") == (refused.status, refused.reason)
    assert "10" == refused.headers["retry-after"]
    assert (200, ["echo"]) == (
        listed.status,
        [tool["name"] for tool in json.loads(listed.body)["result"]["tools"]],
    )
    assert eventually(lambda: one_more().status == 200)

"""Streams that are resumed at a server of the SDK whose sessions share one event store with counted ids."""

import asyncio
import re
import sys

import httpx
import pytest

from authz.demo.client import session
from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child
from tests.support.installed import ROOT
from tests.support.legacy import INITIALIZE, legacy, lines, without_body
from tests.support.running import another_gateway
from tests.support.tokens import A_DAY
from tests.support.waiting import DEADLINE
from tests.support.wire import ask

pytestmark = pytest.mark.envoy

VERSION = "2025-11-25"
"""The version that has a stream begin with an id, so that it can be closed and resumed (SEP-1699)."""
ID = re.compile(rb"^id: ([A-Za-z0-9_-]{43}\.(\d+))\r?$", re.MULTILINE)
RESULT = b"finished after the stream was closed"
CLOSES = legacy("tools/call", {"name": "test_reconnection", "arguments": {}})


@pytest.fixture(scope="module")
def gateway(stack):
    port = free_port()
    everything = [sys.executable, "-m", "tests.everything", str(port)]
    environment = {"PYTHONPATH": str(ROOT)}
    stack.supervisor.start(
        Child(name="stored", argv=everything, env=environment, ready=port_ready("127.0.0.1", port))
    )
    gateway = another_gateway(
        stack,
        "resumption",
        upstream=f"http://localhost:{port}/mcp",
        edit=lambda text: text.replace("[echo, get_user_info]", '["*"]'),
    )
    gateway.start()
    return gateway


@pytest.fixture(scope="module")
def port(gateway):
    return gateway.ports.envoy


@pytest.fixture(scope="module")
def alice(stack):
    return stack.token(sub="alice", ttl=A_DAY)


@pytest.fixture(scope="module")
def mallory(stack):
    return stack.token(sub="mallory", ttl=A_DAY)


def opened(port, token):
    params = {**INITIALIZE, "protocolVersion": VERSION}
    answer = ask(port, token, legacy("initialize", params), change=version())
    own = answer.headers["mcp-session-id"]
    assert 202 == ask(port, token, legacy("notifications/initialized", id=...), change=version(own)).status
    return own


def version(own=None):
    return {**lines(own), "mcp-protocol-version": VERSION}


def interrupted(port, token, own):
    """Call a tool whose stream is closed before its result; gives the id to go on from, as bound and as the server's."""
    body = ask(port, token, CLOSES, change=version(own)).body
    (found,) = ID.findall(body)
    assert RESULT not in body
    return [part.decode() for part in found]


def resumed(port, token, own, event):
    asked = without_body("GET", own, **{"mcp-protocol-version": VERSION, "last-event-id": event})
    return ask(port, token, b"", **asked)


def redelivered(port, token, own, event):
    """Resume a stream, which the server then keeps open, and read it up to the result."""
    headers = {
        "authorization": f"Bearer {token}",
        "accept": "text/event-stream",
        "mcp-session-id": own,
        "mcp-protocol-version": VERSION,
        "last-event-id": event,
    }
    body, url = b"", f"http://localhost:{port}/mcp"
    with httpx.stream("GET", url, headers=headers, trust_env=False, timeout=DEADLINE) as answer:
        for piece in answer.iter_raw():
            body += piece
            if RESULT in body:
                break
    return body


def test_a_client_of_the_sdk_resumes_a_stream_that_the_server_closed(gateway, alice):
    async def called():
        async with asyncio.timeout(DEADLINE), session(gateway.url, alice, "legacy") as client:
            return (await client.call_tool("test_reconnection", {})).content[0].text

    assert RESULT.decode() == asyncio.run(called())


@pytest.mark.requirement("security.session-is-the-openers")
def test_in_a_session_of_ones_own_nobody_resumes_with_the_event_id_of_another(port, alice, mallory):
    hers, his = opened(port, alice), opened(port, mallory)
    bound, counted = interrupted(port, alice, hers)
    guesses = [bound, counted, bound.replace(f".{counted}", ".0"), f"{'A' * 43}.{counted}"]
    refused = [resumed(port, mallory, his, event) for event in guesses]

    assert {(404, "session_mismatch")} == {(answer.status, answer.reason) for answer in refused}
    assert 404 == resumed(port, alice, hers, counted).status
    assert RESULT in redelivered(port, alice, hers, bound)


def test_an_event_id_in_another_spelling_does_not_go_up(port, alice):
    own = opened(port, alice)
    _, counted = interrupted(port, alice, own)
    twins = {f"last{separator}event-id": counted for separator in "~._"}
    answers = [
        ask(port, alice, CLOSES, change=version(own), more=[(name, value)]) for name, value in twins.items()
    ]

    assert [200, 200, 400] == [answer.status for answer in answers]

"""Streams whose caller's token expires: they end as if the server had ended them, through a real Envoy."""

import asyncio
import re
import threading

import httpx
import pytest
from mcp.client.subscriptions import SubscriptionLost

from authz.demo.client import session
from tests.support.legacy import INITIALIZE, legacy, lines, without_body
from tests.support.raw_server import response, stream_head
from tests.support.running import another_gateway, metrics
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, message

pytestmark = pytest.mark.envoy

TTL = 2
EVENT = b'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n'
LISTEN = message("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, request_id="l")
ENDED = (
    b'data: {"jsonrpc":"2.0","id":%b,"error":'
    b'{"code":40100,"message":"the access token expired","data":{"reason":"expired_token"}}}\n\n'
)


def strict(text):
    """Let tokens end at `exp`, and every stream with them."""
    streams = "streams: {grace_seconds: 0, every_answer: true}\n"
    return text.replace("claims: {", "leeway_seconds: 0\n    claims: {", 1) + streams


@pytest.fixture(scope="module")
def ending(stack, raw):
    """A gateway in front of the raw server."""
    gateway = another_gateway(stack, "ending", upstream=f"http://127.0.0.1:{raw.port}/mcp", edit=strict)
    gateway.start()
    return gateway


@pytest.fixture
def held(raw):
    """What keeps the server's answer open until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def asked(ending, stack, body, **changes):
    """Ask with a token that expires soon."""
    return in_time(lambda ttl: ask(ending.ports.envoy, stack.token(ttl=ttl), body, **changes))


def in_time(act):
    """Ask with a token of so many seconds; of more of them where a busy machine let it expire before it was asked."""
    answers = (act(ttl) for ttl in (TTL, 5 * TTL, 25 * TTL))
    return next(answer for answer in answers if answer.status != 401)


def active(gateway):
    """Count the requests that the MCP server is still answering."""
    stats = httpx.get(f"http://127.0.0.1:{gateway.ports.admin}/stats", trust_env=False, timeout=DEADLINE).text
    return [line for line in stats.splitlines() if "cluster.mcp-demo.upstream_rq_active: " in line]


@pytest.mark.parametrize(
    ("body", "changes", "last"),
    [(b"", without_body("GET"), b""), (LISTEN, {}, ENDED % b'"l"'), (call(), {}, ENDED % b"1")],
    ids=["GET", "subscriptions/listen", "tools/call"],
)
@pytest.mark.requirement("security.stream-ends-with-token", "protocol.expired-streams")
def test_a_stream_ends_cleanly_when_the_token_expires(stack, raw, ending, held, body, changes, last):
    raw.script = [stream_head() + EVENT, EVENT, held]
    before = metrics(ending).get('mcp_authz_rewrites_total{outcome="expired"}', 0)
    answer = asked(ending, stack, body, **changes)

    assert (200, True, EVENT + EVENT + last) == (answer.status, answer.whole, answer.body)
    assert before + 1 == metrics(ending)['mcp_authz_rewrites_total{outcome="expired"}']
    assert eventually(lambda: active(ending) == ["cluster.mcp-demo.upstream_rq_active: 0"])


def test_a_stream_that_can_be_resumed_ends_without_an_answer(stack, raw, ending, held):
    raw.script = [stream_head() + b"id: 1\ndata:\n\n", held]
    answer = asked(ending, stack, LISTEN)

    assert answer.whole
    assert re.fullmatch(rb"id: [A-Za-z0-9_-]{43}\.1\ndata:\n\n", answer.body)


def test_half_an_event_at_the_end_is_not_sent(stack, raw, ending, held):
    raw.script = [stream_head() + EVENT + EVENT[:20], held]
    answer = asked(ending, stack, LISTEN)

    assert (True, EVENT + ENDED % b'"l"') == (answer.whole, answer.body)


@pytest.mark.requirement("security.stream-ends-with-token")
def test_a_call_in_a_session_that_is_answered_by_events_ends_with_the_token(stack, raw, ending, held):
    opening = b'{"jsonrpc":"2.0","id":1,"result":{}}', "application/json", "200 OK", "mcp-session-id: s"

    def called(ttl):
        token = stack.token(ttl=ttl)
        raw.script = [response(*opening)]
        opened = ask(ending.ports.envoy, token, legacy("initialize", INITIALIZE), change=lines())
        raw.script = [stream_head() + EVENT, held]
        own = lines(opened.headers.get("mcp-session-id"))
        return ask(
            ending.ports.envoy, token, legacy("tools/call", {"name": "echo", "arguments": {}}), change=own
        )

    answer = in_time(called)

    assert (True, EVENT + ENDED % b"1") == (answer.whole, answer.body)


def test_a_client_of_the_sdk_learns_that_its_subscription_ended(stack):
    gateway = another_gateway(stack, "listening", edit=strict)
    gateway.start()

    async def listen():
        async with (
            asyncio.timeout(DEADLINE),
            session(gateway.url, stack.token(ttl=2 * TTL), "2026-07-28") as client,
            client.listen(tools_list_changed=True) as events,
        ):
            async for _ in events:
                pass

    with pytest.RaisesGroup(SubscriptionLost, flatten_subgroups=True, allow_unwrapped=True):
        asyncio.run(listen())

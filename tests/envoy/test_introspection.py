"""Opaque tokens through a real Envoy: accepted, refused, and a flood of them while the issuer is slow."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.introspection import CLIENT, SECRET, AuthorizationServer, serving
from tests.support.running import another_gateway, metrics
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

CONCURRENT, WAITING, FLOOD = 4, 8, 200


@contextlib.contextmanager
def authorization_server():
    """Run the server on a loop of a thread of its own; gives it."""
    server, loop, stop = AuthorizationServer(), asyncio.new_event_loop(), None
    ready = threading.Event()

    async def run():
        nonlocal stop
        stop = asyncio.Event()
        async with serving(server):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(DEADLINE)
    server.loop = loop
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def issuer():
    with authorization_server() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(stack, issuer):
    (stack.supervisor.logs / "introspection-secret").write_text(SECRET)
    section = (
        f"    introspection: {{endpoint: {issuer.url}, client_id: {CLIENT}, client_secret_file: introspection-secret,"
        f" concurrent: {CONCURRENT}, waiting: {WAITING}, timeout_seconds: 30}}\n    jwks_uri: ${{DEMO_ISSUER}}.well-known/jwks.json\n"
    )
    gateway = another_gateway(
        stack, "opaque", edit=lambda text: text.replace("    audiences:", f"{section}    audiences:")
    )
    gateway.start()
    return gateway


def answered(gateway, token):
    answer = ask(gateway.ports.envoy, token, call())
    return answer.status, answer.reason


def issue(gateway, issuer, token, **claims):
    return issuer.issue(token, aud=gateway.url, **claims)


def test_an_opaque_token_that_its_issuer_calls_active_may_call_and_another_may_not(gateway, issuer):
    good, foreign = issue(gateway, issuer, "opaque-good"), issuer.issue("opaque-foreign", aud="another")

    assert 200 == answered(gateway, good)[0]
    assert (401, "wrong_audience") == answered(gateway, foreign)
    assert (401, "inactive_token") == answered(gateway, "opaque-unknown")


def test_a_signed_token_of_the_same_issuer_is_verified_by_its_keys(gateway, stack, issuer):
    token = stack.token()

    assert 200 == answered(gateway, token)[0]
    assert token not in issuer.asked


def test_while_the_issuer_is_slow_a_flood_is_refused_with_503_and_what_is_known_goes_on(gateway, issuer):
    good = issue(gateway, issuer, "opaque-known")
    assert 200 == answered(gateway, good)[0]
    issuer.most = 0
    issuer.loop.call_soon_threadsafe(issuer.gate.clear)
    with ThreadPoolExecutor(16) as pool:
        flood = list(pool.map(lambda n: answered(gateway, f"flood-{n}"), range(FLOOD)))
    known = answered(gateway, good)
    issuer.loop.call_soon_threadsafe(issuer.gate.set)

    assert {(503, "keys_unavailable")} == set(flood)
    assert CONCURRENT == issuer.most
    assert 200 == known[0]
    refused = [
        value
        for name, value in metrics(gateway).items()
        if "introspections" in name and 'outcome="refused"' in name
    ]
    assert [FLOOD - CONCURRENT - WAITING] == refused

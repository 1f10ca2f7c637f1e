"""The pools of the rewriter's streams in a real Envoy: when one is full, the others and the calls go on as before."""

import contextlib
import socket
import threading

import httpx
import pytest

from tests.support.legacy import without_body
from tests.support.raw_server import response, stream_head
from tests.support.running import another_gateway
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, message, request
from tests.support.yaml_text import read_yaml, write_yaml

pytestmark = pytest.mark.envoy

ROOM = 2
EVENT = b"data: x\n\n"
LIST = message("tools/list")
ANSWERS = {
    "tools/list": response(b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}'),
    "tools/call": response(b'{"jsonrpc":"2.0","id":1,"result":{"content":[]}}'),
}


@pytest.fixture(scope="module")
def narrow(stack, raw):
    """A gateway whose Envoy lets few requests at a time into each pool of the rewriter but the calls' own."""
    gateway = another_gateway(stack, "narrow", upstream=f"http://127.0.0.1:{raw.port}/mcp")
    stack.supervisor.start(gateway.service())
    envoy = gateway.envoy()
    file = stack.supervisor.logs / f"{gateway.name}.yaml"
    tree = read_yaml(file.read_text("utf-8"))
    pools = [cluster for cluster in tree["static_resources"]["clusters"] if "rewriter_" in cluster["name"]]
    for pool in pools:
        pool["circuit_breakers"]["thresholds"][0]["max_requests"] = ROOM
    file.write_text(write_yaml(tree), encoding="utf-8")
    stack.supervisor.start(envoy)

    assert ["rewriter_lists", "rewriter_streams"] == sorted(pool["name"] for pool in pools)
    return gateway


def active(gateway, pool):
    """How many requests are under way in a pool, as Envoy counts them."""
    stat = f"cluster.rewriter_{pool}.upstream_rq_active$"
    url = f"http://127.0.0.1:{gateway.ports.admin}/stats?filter={stat}"
    return int(httpx.get(url, trust_env=False, timeout=DEADLINE).text.rpartition(": ")[2])


@contextlib.contextmanager
def full(gateway, pool, data):
    """Hold as many responses of a pool open in the block as it has room for."""
    with contextlib.ExitStack() as stack:
        for _ in range(ROOM):
            address = ("127.0.0.1", gateway.ports.envoy)
            stack.enter_context(socket.create_connection(address, DEADLINE)).sendall(data)
        assert eventually(lambda: active(gateway, pool) == ROOM)
        yield


def asked(port, token):
    """Ask for one of each; gives the status of each."""
    return {
        "streams": ask(port, token, b"", **without_body("GET")).status,
        "lists": ask(port, token, LIST).status,
        "calls": ask(port, token, call("echo")).status,
    }


@pytest.mark.parametrize("pool", ["streams", "lists"])
def test_a_pool_that_is_full_refuses_its_own_and_nobody_else(stack, raw, narrow, pool):
    port, token, held = narrow.ports.envoy, stack.token(), threading.Event()
    hold = request(port, token, LIST) if pool == "lists" else request(port, token, b"", **without_body("GET"))
    waiting = []

    def script(asked_for):
        """Hold the first responses of the pool open, and answer everything else."""
        if asked_for.startswith(b"GET"):
            answer = stream_head() + EVENT
        else:
            answer = ANSWERS["tools/list" if b"tools/list" in asked_for else "tools/call"]
        held_kind = asked_for.startswith(b"GET") if pool == "streams" else b"tools/list" in asked_for
        if held_kind and len(waiting) < ROOM:
            waiting.append(asked_for)
            return [answer[:-3], held, answer[-3:]]
        return [answer]

    raw.script = script
    try:
        with full(narrow, pool, hold):
            seen = asked(port, stack.token(sub="another"))
    finally:
        held.set()

    refused = seen.pop(pool)
    assert 500 <= refused < 600
    assert {200} == set(seen.values())
    assert eventually(lambda: set(asked(port, token).values()) == {200})

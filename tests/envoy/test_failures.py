"""What clients get when a part is dead, slow or wrong: an error, and the MCP server sees nothing of the request."""

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from authz.demo.ports import free_port
from authz.demo.stack import Stack
from tests.support.raw_server import raw_server, response, stream_head
from tests.support.running import EVERYTHING, another_gateway, arrived, recorded
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call, exchange, message

pytestmark = pytest.mark.envoy

ORIGIN = "http://localhost:6274"
LIST = message("tools/list")
UNTRIMMED = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"CANARY"}]}}'
PREFLIGHT = (
    f"OPTIONS /mcp HTTP/1.1\r\nhost: localhost:{{}}\r\norigin: {ORIGIN}\r\n"
    "access-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n\r\n"
)


@pytest.fixture(scope="module")
def broken():
    """A stack whose service the tests stop and slow."""
    with Stack(forms=("native",)) as stack:
        yield stack


@pytest.fixture
def gateway(broken):
    """A gateway that serves before the test, whatever the one before it did."""
    gateway = broken.gateways["native"]
    if not broken.supervisor.running(gateway.service_name):
        broken.supervisor.restart(gateway.service_name)
    token = broken.token()
    assert eventually(lambda: ask(gateway.ports.envoy, token, call()).status == 200)
    return gateway


def _refused(gateway, token):
    """A call of list_files while something is wrong."""
    return ask(gateway.ports.envoy, token, call("list_files"), more=[("origin", ORIGIN)])


def _told(answer):
    """What an error of Envoy's own says: who did not answer, and where its operator looks."""
    assert "application/json" == answer.headers["content-type"]
    message = json.loads(answer.body)
    error = message["error"]
    assert ("2.0", None, 50300, "envoy") == (
        message["jsonrpc"],
        message["id"],
        error["code"],
        error["data"]["by"],
    )
    return error["message"].split("; ")[0].rpartition(": ")[2], error["data"]["look_at"].split(": ")[0].split(
        " and "
    )[0]


def _served_again(broken, gateway, token, before):
    """Wait until calls of echo are served; gives which tools were called since `before`."""
    assert eventually(lambda: ask(gateway.ports.envoy, token, call()).status == 200)
    return {arrival.tool for arrival in broken.arrivals()[before:]}


@pytest.mark.requirement("security.failure-denies")
def test_a_killed_service_means_503_until_it_is_back(broken, gateway):
    token, before = broken.token(**EVERYTHING), len(broken.arrivals())
    broken.supervisor.send(gateway.service_name, signal.SIGKILL)
    eventually(lambda: not broken.supervisor.running(gateway.service_name))
    answer = _refused(gateway, token)
    preflight = exchange(gateway.ports.envoy, PREFLIGHT.format(gateway.ports.envoy).encode())
    broken.supervisor.restart(gateway.service_name)

    assert 503 == answer.status
    assert ("the authorization service did not answer in time", "the service mcp-authz") == _told(answer)
    assert ORIGIN == answer.headers["access-control-allow-origin"]
    assert (200, ORIGIN) == (preflight.status, preflight.headers["access-control-allow-origin"])
    assert {"echo"} == _served_again(broken, gateway, token, before)


@pytest.mark.requirement("security.failure-denies")
def test_a_service_that_hangs_means_503_and_what_it_says_later_counts_for_nothing(broken, gateway):
    token, before = broken.token(**EVERYTHING), len(broken.arrivals())
    broken.supervisor.send(gateway.service_name, signal.SIGSTOP)
    try:
        answer = _refused(gateway, token)
    finally:
        broken.supervisor.send(gateway.service_name, signal.SIGCONT)

    assert 503 == answer.status
    assert ("the authorization service did not answer in time", "the service mcp-authz") == _told(answer)
    assert {"echo"} == _served_again(broken, gateway, token, before)


def test_a_server_that_is_down_is_told_in_json_rpc_also_where_a_list_was_asked_for(broken):
    dead = another_gateway(broken, "dead", upstream=f"http://127.0.0.1:{free_port()}/mcp")
    dead.start()
    answers = [ask(dead.ports.envoy, broken.token(), body) for body in (call(), LIST)]
    broken.supervisor.stop(dead.envoy_name)
    broken.supervisor.stop(dead.service_name)

    assert [503, 503] == [answer.status for answer in answers]
    assert {("the MCP server did not answer", "the MCP server")} == set(map(_told, answers))


@pytest.mark.parametrize("event_stream", [False, True])
def test_a_service_killed_in_the_middle_of_a_list_never_lets_the_rest_pass(broken, event_stream):
    """The server holds its list back until the processor is dead."""
    dead = threading.Event()
    head = stream_head() + b"data: {}\n\n" if event_stream else response(UNTRIMMED)[: -len(UNTRIMMED)]
    rest = b"data: " + UNTRIMMED + b"\n\n" if event_stream else UNTRIMMED
    with raw_server() as server, ThreadPoolExecutor(1) as pool:
        server.script = [head, dead, rest]
        name = f"cut-{event_stream}"
        gateway = another_gateway(broken, name, upstream=f"http://127.0.0.1:{server.port}/mcp")
        gateway.start()
        answering = pool.submit(ask, gateway.ports.envoy, broken.token(), LIST)
        assert eventually(lambda: server.seen)
        broken.supervisor.send(gateway.service_name, signal.SIGKILL)
        eventually(lambda: not broken.supervisor.running(gateway.service_name))
        broken.supervisor.stop(gateway.service_name)
        dead.set()
        answer = answering.result(DEADLINE)

    assert not (answer.status == 200 and answer.whole)
    assert b"CANARY" not in answer.body


def test_a_browser_can_read_every_denial(broken, gateway):
    """CORS headers stand on 401 and 403 too, with the challenge exposed."""
    port = gateway.ports.envoy
    stepped = {"mcp-protocol-version": "2025-11-25", "mcp-method": None, "mcp-name": None}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_files"}})
    origin = [("origin", ORIGIN)]
    missing = ask(port, None, call(), more=origin)
    needing = ask(port, broken.token(), body.encode(), change=stepped, more=origin)

    assert (401, 403) == (missing.status, needing.status)
    assert 'scope="files:read"' in needing.headers["www-authenticate"]
    for answer in (missing, needing):
        assert ORIGIN == answer.headers["access-control-allow-origin"]
        assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
        assert "resource_metadata=" in answer.headers["www-authenticate"]


def test_a_preflight_is_answered_without_a_token_and_reaches_nobody(broken, gateway):
    port, answers = gateway.ports.envoy, []
    records = recorded(
        broken, gateway, lambda: answers.append(exchange(port, PREFLIGHT.format(port).encode()))
    )
    reached = arrived(broken, lambda: answers.append(exchange(port, PREFLIGHT.format(port).encode())))

    assert ([], []) == (records, reached)
    for answer in answers:
        assert (200, ORIGIN) == (answer.status, answer.headers["access-control-allow-origin"])
        assert "authorization" in answer.headers["access-control-allow-headers"]


def test_a_service_that_is_told_to_end_ends_and_comes_back(broken, gateway):
    name, port = gateway.service_name, gateway.ports.envoy
    broken.supervisor.send(name, signal.SIGTERM)
    ended = eventually(lambda: not broken.supervisor.running(name))
    meanwhile = ask(port, broken.token(), call())
    broken.supervisor.restart(name)

    assert (True, 503) == (ended, meanwhile.status)
    assert eventually(lambda: ask(port, broken.token(), call()).status == 200)

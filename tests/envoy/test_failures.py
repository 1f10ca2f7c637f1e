"""What clients get when a part is dead, slow or wrong: an error, and the MCP server sees nothing of the request."""

import contextlib
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2
from envoy.type.v3 import http_status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from authz.demo.stack import Stack
from tests.support.running import (
    DEADLINE,
    EVERYTHING,
    another_gateway,
    ask,
    call,
    eventually,
    exchange,
    message,
    raw_server,
    response,
    socket_of,
    stream_head,
)

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


def _refused(broken, gateway, token):
    """A request while something is wrong: the answer, and how many requests reached the server."""
    before = len(broken.arrivals())
    answer = ask(gateway.ports.envoy, token, call("system_status"), more=[("origin", ORIGIN)])
    return answer, len(broken.arrivals()) - before


def test_a_killed_service_means_503_until_it_is_back(broken, gateway):
    token = broken.token(**EVERYTHING)
    broken.supervisor.send(gateway.service_name, signal.SIGKILL)
    eventually(lambda: not broken.supervisor.running(gateway.service_name))
    answer, arrived = _refused(broken, gateway, token)
    preflight = exchange(gateway.ports.envoy, PREFLIGHT.format(gateway.ports.envoy).encode())
    broken.supervisor.restart(gateway.service_name)

    assert (503, 0) == (answer.status, arrived)
    assert ORIGIN == answer.headers["access-control-allow-origin"]
    assert (200, ORIGIN) == (preflight.status, preflight.headers["access-control-allow-origin"])
    assert eventually(lambda: ask(gateway.ports.envoy, token, call("system_status")).status == 200)


def test_a_service_that_hangs_means_503_and_what_it_says_later_counts_for_nothing(broken, gateway):
    token = broken.token(**EVERYTHING)
    broken.supervisor.send(gateway.service_name, signal.SIGSTOP)
    try:
        answer, arrived = _refused(broken, gateway, token)
    finally:
        broken.supervisor.send(gateway.service_name, signal.SIGCONT)
    before = len(broken.arrivals())

    assert (503, 0) == (answer.status, arrived)
    assert eventually(lambda: ask(gateway.ports.envoy, token, call("echo")).status == 200)
    assert {"echo"} == {arrival.tool for arrival in broken.arrivals()[before:]}


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


class Fake:
    """The gRPC services, giving whatever bytes or error the test sets."""

    def __init__(self):
        self.check = self.process = lambda _context: b""
        self.release = threading.Event()

    def handlers(self):
        check = grpc.unary_unary_rpc_method_handler(lambda _request, context: self.check(context))
        process = grpc.stream_stream_rpc_method_handler(self._process)
        return (
            grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": check}),
            grpc.method_handlers_generic_handler(
                "envoy.service.ext_proc.v3.ExternalProcessor", {"Process": process}
            ),
        )

    def _process(self, requests, context):
        for _ in requests:
            if answer := self.process(context):
                yield answer
            return


@contextlib.contextmanager
def _serving(fake, path):
    server = grpc.server(ThreadPoolExecutor(8), handlers=fake.handlers())
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        fake.release.set()
        server.stop(None).wait(DEADLINE)


@pytest.fixture(scope="module")
def faked(broken):
    """An Envoy in front of the raw server that asks a fake service."""
    fake = Fake()
    with raw_server() as server:
        gateway = another_gateway(broken, "fake", upstream=f"http://127.0.0.1:{server.port}/mcp")
        with _serving(fake, socket_of(gateway)):
            broken.supervisor.start(gateway.envoy())
            yield fake, server, gateway.ports.envoy
            broken.supervisor.stop(gateway.envoy_name)


def _abort(code):
    return lambda context: context.abort(code, "no")


def _yes(**metadata) -> bytes:
    """An allow with dynamic metadata."""
    answer = external_auth_pb2.CheckResponse(ok_response=external_auth_pb2.OkHttpResponse())
    answer.dynamic_metadata.update(metadata)
    return answer.SerializeToString()


def _no(status: int) -> bytes:
    denied = external_auth_pb2.DeniedHttpResponse(body="{}", status=http_status_pb2.HttpStatus(code=status))
    return external_auth_pb2.CheckResponse(status={"code": 7}, denied_response=denied).SerializeToString()


def _setting(name: str) -> bytes:
    answer = external_auth_pb2.CheckResponse()
    answer.ok_response.headers.add(header={"key": name, "value": "x"})
    return answer.SerializeToString()


CHECKS = {
    "INTERNAL": _abort(grpc.StatusCode.INTERNAL),
    "UNAVAILABLE": _abort(grpc.StatusCode.UNAVAILABLE),
    "UNIMPLEMENTED": _abort(grpc.StatusCode.UNIMPLEMENTED),
    "OK as an error": _abort(grpc.StatusCode.UNKNOWN),
    "bytes that are no message": lambda _context: b"\xff\xff\xff",
    "half a message": lambda _context: _yes(rewrite=True)[:-2],
    "a header that is not the service's": lambda _context: _setting("x-envoy-retry-on"),
    "the path": lambda _context: _setting(":path"),
    "403": lambda _context: _no(403),
    "401": lambda _context: _no(401),
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
def test_no_answer_that_is_not_a_sound_yes_lets_a_request_pass(broken, faked, check):
    fake, server, port = faked
    fake.check, server.script, before = check, [response(UNTRIMMED)], len(server.seen)
    answer = ask(port, "t", call(), more=[("origin", ORIGIN)])
    fake.check = lambda _context: _yes()
    after = ask(port, "t", call())

    assert answer.status in {401, 403, 500, 503}
    assert ORIGIN == answer.headers["access-control-allow-origin"]
    assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
    assert (200, 1) == (after.status, len(server.seen) - before)


def test_a_yes_that_comes_too_late_is_503(faked):
    fake, server, port = faked
    fake.check, before = lambda _context: (fake.release.wait(2.0) and b"") or _yes(), len(server.seen)

    assert (503, 0) == (ask(port, "t", call()).status, len(server.seen) - before)


def _continue() -> bytes:
    answer = external_processor_pb2.ProcessingResponse()
    answer.response_headers.SetInParent()
    return answer.SerializeToString()


PROCESSES = {
    "INTERNAL": _abort(grpc.StatusCode.INTERNAL),
    "UNIMPLEMENTED": _abort(grpc.StatusCode.UNIMPLEMENTED),
    "bytes that are no message": lambda _context: b"\xff\xff\xff",
    "an answer to what was not asked": lambda _context: external_processor_pb2.ProcessingResponse(
        request_headers={}
    ).SerializeToString(),
}


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES.keys())
@pytest.mark.parametrize("event_stream", [False, True])
def test_no_failure_of_the_processor_lets_a_list_pass(faked, process, event_stream):
    fake, server, port = faked
    fake.check, fake.process = lambda _context: _yes(rewrite=True), process
    listed = stream_head() + b"data: " + UNTRIMMED + b"\n\n"
    server.script = [listed if event_stream else response(UNTRIMMED)]
    answer = ask(port, "t", LIST)

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
    before = len(broken.arrivals()), len(gateway.records())
    answer = exchange(gateway.ports.envoy, PREFLIGHT.format(gateway.ports.envoy).encode())

    assert (200, ORIGIN) == (answer.status, answer.headers["access-control-allow-origin"])
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert before == (len(broken.arrivals()), len(gateway.records()))


def test_a_service_that_is_told_to_end_ends_and_comes_back(broken, gateway):
    name, port = gateway.service_name, gateway.ports.envoy
    broken.supervisor.send(name, signal.SIGTERM)
    ended = eventually(lambda: not broken.supervisor.running(name))
    meanwhile = ask(port, broken.token(), call())
    broken.supervisor.restart(name)

    assert (True, 503) == (ended, meanwhile.status)
    assert eventually(lambda: ask(port, broken.token(), call()).status == 200)

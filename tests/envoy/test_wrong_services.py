"""A service that answers, but wrongly: whatever is not a sound yes is a no, and no list passes unjudged."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2
from envoy.type.v3 import http_status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.raw_server import raw_server, response, stream_head
from tests.support.running import another_gateway, socket_of
from tests.support.waiting import DEADLINE
from tests.support.wire import ask, call, message

pytestmark = pytest.mark.envoy

ORIGIN = "http://localhost:6274"
LIST = message("tools/list")
UNTRIMMED = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"CANARY"}]}}'


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
def faked(stack):
    """An Envoy in front of the raw server that asks a fake service."""
    fake = Fake()
    with raw_server() as server:
        gateway = another_gateway(stack, "fake", upstream=f"http://127.0.0.1:{server.port}/mcp")
        with _serving(fake, socket_of(gateway)):
            stack.supervisor.start(gateway.envoy())
            yield fake, server, gateway.ports.envoy
            stack.supervisor.stop(gateway.envoy_name)


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
@pytest.mark.requirement("security.failure-denies")
def test_no_answer_that_is_not_a_sound_yes_lets_a_request_pass(faked, check):
    fake, server, port = faked
    fake.check, server.script, before = check, [response(UNTRIMMED)], len(server.seen)
    answer = ask(port, "t", call(), more=[("origin", ORIGIN)])
    fake.check = lambda _context: _yes()
    after = ask(port, "t", call())

    assert answer.status in {401, 403, 500, 503}
    assert ORIGIN == answer.headers["access-control-allow-origin"]
    assert "WWW-Authenticate" in answer.headers["access-control-expose-headers"]
    assert (200, 1) == (after.status, len(server.seen) - before)


@pytest.mark.requirement("security.failure-denies")
def test_a_yes_that_comes_too_late_is_503(faked):
    """Envoy answers while the service still holds the call."""
    fake, server, port = faked
    answered = threading.Event()
    fake.check, before = lambda _context: (answered.wait(DEADLINE), _yes())[1], len(server.seen)
    late = ask(port, "t", call()).status
    answered.set()

    assert (503, 0) == (late, len(server.seen) - before)


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

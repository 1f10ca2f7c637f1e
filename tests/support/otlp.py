"""An OpenTelemetry collector that keeps the bytes it is sent: OTLP over HTTP as the service sends it, over gRPC as Envoy does."""

import contextlib
import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from authz.proto import otlp_pb2
from tests.support.waiting import DEADLINE

_PATHS = ("/v1/traces", "/v1/logs")
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


def values(attributes: Any) -> dict[str, Any]:
    """Give attributes by name."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@dataclass
class Kept:
    """One span, with the name of the service that sent it."""

    service: str
    span: Any

    @property
    def name(self) -> str:
        return self.span.name

    @property
    def trace(self) -> str:
        return self.span.trace_id.hex()

    @property
    def id(self) -> str:
        return self.span.span_id.hex()

    @property
    def parent(self) -> str:
        return self.span.parent_span_id.hex()

    @property
    def attributes(self) -> dict[str, Any]:
        return values(self.span.attributes)


@dataclass
class OtlpEndpoint:
    """A collector under way.

    Attributes:
        raw: every request with spans as it came, uncompressed.
        logs: every request with log records.
        headers: of every request over HTTP.
        status: what it answers over HTTP, and with which body.
        held: set to answer; cleared, requests over HTTP wait.
    """

    raw: list[bytes] = field(default_factory=list)
    logs: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answer: bytes = b""
    http_port: int = 0
    grpc_port: int = 0
    status: int = 200
    held: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def spans(self) -> list[Kept]:
        """Decode all that came."""
        found = []
        for body in list(self.raw):
            for resource in otlp_pb2.TraceRequest.FromString(body).resource_spans:
                named = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    found += [Kept(named.get("service.name", ""), span) for span in scope.spans]
        return found

    def records(self) -> list[Any]:
        """Decode all log records that came."""
        return [
            record
            for body in list(self.logs)
            for resource in otlp_pb2.LogsRequest.FromString(body).resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


@contextlib.contextmanager
def otlp_endpoint() -> Iterator[OtlpEndpoint]:
    """Collect in the block."""
    kept = OtlpEndpoint()
    kept.held.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kept.held.wait(DEADLINE)
            kept.headers.append({name.lower(): value for name, value in self.headers.items()})
            status = kept.status if self.path in _PATHS else 404
            if status == 200:
                (kept.raw if self.path == _PATHS[0] else kept.logs).append(body)
            self.send_response(status)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(kept.answer)))
            if status == 503:
                self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(kept.answer)

        def log_message(self, *_: object) -> None:
            pass

    def export(body: bytes, _context: object) -> bytes:
        kept.raw.append(body)
        return b""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    kept.http_port = http.server_address[1]
    over_grpc = grpc.server(ThreadPoolExecutor(2))
    method = grpc.unary_unary_rpc_method_handler(export)
    over_grpc.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, {"Export": method})])
    kept.grpc_port = over_grpc.add_insecure_port("127.0.0.1:0")
    over_grpc.start()
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        kept.held.set()
        http.shutdown()
        http.server_close()
        thread.join(DEADLINE)
        over_grpc.stop(None).wait(DEADLINE)

"""The Envoy of a shop that has other work than MCP: an API behind jwt_authn, a rate limit, gRPC, websockets, uploads.

The backend answers with what reached it, so that a header or byte that a merge adds, drops or changes shows in the answer.
"""

import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.tokens import jwk, rsa_key
from tests.support.waiting import DEADLINE

ISSUER = "https://login.shop.example/"

SHOP = """\
# The shop's gateway. Ask the platform team before you change it.
static_resources:
  listeners:
  - name: public
    address: {socket_address: {address: 127.0.0.1, port_value: @PORT}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: shop
          upgrade_configs: [{upgrade_type: websocket}]   # the chat
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/stdout
              log_format:
                json_format: {line: "%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_SENT% %REQ(X-FORWARDED-FOR)%"}
          route_config:
            name: shop
            virtual_hosts:
            - name: shop
              domains: [@DOMAINS]
              retry_policy: {retry_on: "5xx", num_retries: 2}
              routes:
              # Orders are gRPC.
              - match: {prefix: /grpc.health.v1.Health/}
                route: {cluster: orders, timeout: 5s}
              - name: limited
                match: {prefix: /limited}
                route: {cluster: api}
                typed_per_filter_config:
                  envoy.filters.http.local_ratelimit:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
                    stat_prefix: limited
                    token_bucket: {max_tokens: 2, tokens_per_fill: 1, fill_interval: 86400s}
                    filter_enabled: {default_value: {numerator: 100}}
                    filter_enforced: {default_value: {numerator: 100}}
              - match: {prefix: /chat}
                route: {cluster: api, timeout: 0s}
              - match: {prefix: /upload}
                route: {cluster: api, timeout: 60s}   # large files
              - match: {prefix: /api}
                route:
                  cluster: api
              - match: {prefix: /public}
                route: {cluster: api}
          http_filters:
          - name: envoy.filters.http.lua
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
              default_source_code:
                inline_string: |
                  -- mark what passed here
                  function envoy_on_request(handle)
                    handle:headers():add("x-shop", "in")
                  end
                  function envoy_on_response(handle)
                    handle:headers():add("x-shop", "out")
                  end
          # Tokens of the shop's own login.
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                shop:
                  issuer: https://login.shop.example/
                  local_jwks: {inline_string: '@JWKS'}
              rules:
              - match: {prefix: /public}
              - match: {prefix: /grpc.health.v1.Health/}
              - match: {prefix: /chat}
              - match: {prefix: /}
                requires: {provider_name: shop}
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: shop
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}   # the last
  clusters:
  - name: api
    type: STATIC
    load_assignment:
      cluster_name: api
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @API}}}}]}]
  - name: orders
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: orders
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: @ORDERS}}}}]}]
# end of the shop's gateway
"""


def shop(port: int = 10000, api: int = 8081, orders: int = 8082, domains: str = '"*"') -> str:
    """Give the shop's configuration with ports in it."""
    keys = json.dumps({"keys": [jwk(rsa_key(), use="sig", alg="RS256")]})
    found = {"PORT": port, "API": api, "ORDERS": orders, "DOMAINS": domains, "JWKS": keys}
    return re.sub(r"@([A-Z]+)", lambda name: str(found[name[1]]), SHOP)


@dataclass
class Backend:
    """The shop's own servers: HTTP and websockets on one port, gRPC on another."""

    api: int
    orders: int


class _Handler(BaseHTTPRequestHandler):
    """Answers with what arrived, and speaks on a websocket."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _any(self) -> None:
        if self.headers.get("upgrade", "").lower() == "websocket":
            self._talk()
            return
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = sorted((name.lower(), value) for name, value in self.headers.items())
        said = json.dumps([self.command, self.path, headers, len(body), hashlib.sha256(body).hexdigest()])
        self.send_response(200)
        for name, value in (
            ("content-type", "application/json"),
            ("x-backend", "shop"),
            ("content-length", len(said)),
        ):
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(said.encode())

    def _talk(self) -> None:
        self.connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        self.connection.sendall(b"echo " + self.rfile.read(4))
        self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def backend() -> Iterator[Backend]:
    """Run the shop's own servers on free ports."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    orders = grpc.server(ThreadPoolExecutor(2))
    healthy = health.HealthServicer()
    healthy.set("orders", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, orders)
    state = Backend(server.server_address[1], orders.add_insecure_port("127.0.0.1:0"))
    orders.start()
    try:
        yield state
    finally:
        orders.stop(None).wait(DEADLINE)
        server.shutdown()
        server.server_close()
        thread.join(DEADLINE)


def answered(port: int, *requests: bytes) -> list[bytes]:
    """Send requests one after the other, over one connection as long as Envoy keeps it; gives the answers as they came."""
    answers: list[bytes] = []
    while len(answers) < len(requests):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
            for data in requests[len(answers) :]:
                connection.sendall(data)
                answers.append(_answer(connection))
                if b"connection: close" in answers[-1].partition(b"\r\n\r\n")[0]:
                    break
    return answers


def _answer(connection: socket.socket) -> bytes:
    got = bytearray()
    while b"\r\n\r\n" not in got:
        got += _part(connection)
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += _part(connection)
    return head + b"\r\n\r\n" + body


def _part(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    assert part, "closed in the middle of an answer"
    return part


def order(port: int) -> str:
    """Make one call through Envoy's gRPC route; gives what the server says."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        asked = health_pb2.HealthCheckRequest(service="orders")
        stub = health_pb2_grpc.HealthStub(channel)
        return str(stub.Check(asked, timeout=DEADLINE, wait_for_ready=True))


def chat(port: int) -> bytes:
    """Open a websocket through Envoy and say one word; gives all that came back."""
    head = (
        b"GET /chat HTTP/1.1\r\nhost: shop.example.com\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
        connection.sendall(head)
        got = bytearray()
        while b"\r\n\r\n" not in got:
            got += _part(connection)
        connection.sendall(b"ping")
        while part := connection.recv(4096):
            got += part
        return bytes(got)


METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
PATHS = (
    *("/api/items/1", "/api/items?q=a%20b&x=1", "/api", "/public/page", "/public/a+b", "/public/%E2%82%AC"),
    *("/api/double//slash", "/api/a/../b", "/api/./c", "/public/x%2Fy", "/public/%2e%2e/z", "/nowhere"),
    *("/.well-known/openid-configuration", "/mcpx", "/api/mcp", "/", "/limited"),
)
HEADERS = (
    [("x-plain", "1")],
    [("x_under_score", "1")],
    [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")],
    [("x-envoy-max-retries", "3"), ("x-envoy-upstream-rq-timeout-ms", "4000")],
    [("x-mcp-subject", "root"), ("x-mcp-other", "1")],
    [("x-http-method-override", "DELETE"), ("x-original-url", "/other")],
    [("origin", "https://app.example"), ("access-control-request-method", "PUT")],
    [("accept-encoding", "gzip"), ("cookie", "a=b"), ("mcp-session-id", "1")],
    [("content-encoding", "gzip"), ("te", "trailers")],
)
HOSTS = ("shop.example.com", "other.example.com", "SHOP.example.com", "shop.example.com:8443")


@dataclass(frozen=True)
class Asked:
    """One request of the other traffic."""

    method: str
    path: str
    host: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def bytes(self, token: str) -> bytes:
        """Give the request as it is sent."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"authorization: Bearer {token}"] if ("x-anonymous", "1") not in self.headers else []
        lines += [f"content-length: {len(self.body)}"] if self.body else []
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def other_traffic() -> list[Asked]:
    """Give 198 requests that have nothing to do with MCP; with a gRPC call and a websocket they are 200."""
    asked = []
    for number in range(196):
        headers = (*HEADERS[number % len(HEADERS)], ("x-request-id", f"id-{number}"))
        if number % 7 == 0:
            headers = (*headers, ("x-anonymous", "1"))
        method, path = METHODS[number % len(METHODS)], PATHS[number % len(PATHS)]
        body = b"x" * (number * 7) if method in {"POST", "PUT", "PATCH"} else b""
        asked.append(Asked(method, path, HOSTS[number // 5 % len(HOSTS)], headers, body))
    large = [Asked("POST", "/upload/file", HOSTS[0], (), b"u" * size) for size in (2_000_000, 5_000_000)]
    return [*asked, *large]

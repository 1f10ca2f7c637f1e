"""What each option of `mcp-authz envoy` makes a real Envoy do."""

import contextlib
import dataclasses
import http.client
import json
import shutil
import socket
import ssl
import struct
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2

from authz.demo.ports import free_port
from authz.proto import otlp_pb2
from authz.render.address import Address
from authz.render.bootstrap import bootstrap, filters
from authz.render.model import Chain, Endpoint
from authz.render.options import Certificate, MutualTls, Rate, RenderOptions, Tracing, WatchedSecret
from tests.support.certificates import Authority
from tests.support.chains import SEVERAL, SIDECAR
from tests.support.foreign_envoy import pasted
from tests.support.installed import ROOT
from tests.support.real_envoy import check_service, running_envoy, upstream
from tests.support.waiting import DEADLINE, eventually

pytestmark = pytest.mark.envoy

SHIPPED_SECRET = ROOT / "k8s/components/tls-envoy/tls.yaml"
ORIGIN = "http://localhost:6274"
ALLOW = external_auth_pb2.CheckResponse(ok_response=external_auth_pb2.OkHttpResponse())


@pytest.fixture
def directory():
    """A short path: a Unix socket's name has at most about a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="ma"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def mcp_server():
    with upstream() as server:
        yield server


@pytest.fixture
def checks(directory):
    with check_service(f"unix:{directory}/authz.sock") as service:
        service.answer = ALLOW
        yield service


@pytest.fixture
def start(directory, mcp_server):
    """Start Envoy with options, and with changes to its chain or its text."""
    with contextlib.ExitStack() as running:

        def run(options, *, edit=lambda text: text, upstream_tls=False, **changes):
            endpoint = Endpoint(
                name="demo",
                hosts=("localhost", "127.0.0.1"),
                path="/mcp",
                upstream_host="localhost" if upstream_tls else "127.0.0.1",
                upstream_port=changes.pop("server_port", mcp_server.port),
                upstream_tls=upstream_tls,
                origins=(ORIGIN,),
            )
            chain = Chain(
                endpoints=(endpoint,),
                listen=Address(host="127.0.0.1", port=free_port()),
                service=changes.pop("service", Address(path=f"{directory}/authz.sock")),
                http=Address(host="127.0.0.1", port=free_port()),
                check_timeout=5,
                options=options,
            )
            chain = dataclasses.replace(chain, **changes)
            text = edit(bootstrap(chain))
            return running.enter_context(running_envoy(text, chain.listen.port, directory))

        yield run


def _denial(**said):
    denied = external_auth_pb2.DeniedHttpResponse(body="no")
    denied.status.code = 401
    answer = external_auth_pb2.CheckResponse(status={"code": 16}, denied_response=denied)
    answer.dynamic_metadata.update({"decision": "deny", "reason": "missing_token", **said})
    return answer


def _allowance(**said):
    answer = external_auth_pb2.CheckResponse(ok_response=external_auth_pb2.OkHttpResponse())
    answer.dynamic_metadata.update({"decision": "allow", "server": "demo", "rewrite": False, **said})
    return answer


# --- --shadow


def test_in_shadow_mode_a_denied_request_goes_on_as_it_came_and_the_log_says_what_would_have_been(
    start, checks, mcp_server
):
    checks.answer = _denial()
    envoy = start(RenderOptions(shadow=True))
    status, _, _ = envoy.request("POST", "/mcp", [("authorization", "Bearer t"), ("x-own", "a")], b"{}")
    (line,) = envoy.access_log(1)

    assert (200, b"{}") == (status, mcp_server.seen[0][2])
    assert ("Bearer t", "a") == tuple(mcp_server.headers()[name] for name in ("authorization", "x-own"))
    assert ("deny", "missing_token", "401", 200) == tuple(
        line[name] for name in ("decision", "reason", "would", "status")
    )


def test_in_shadow_mode_an_allowed_request_is_not_changed_either(start, checks, mcp_server):
    checks.answer = _allowance(rewrite=True)
    ok = checks.answer.ok_response
    ok.headers.append(
        base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key="x-mcp-subject", value="alice"))
    )
    ok.headers_to_remove.extend(["authorization", "accept-encoding"])
    envoy = start(RenderOptions(shadow=True))
    sent = [("authorization", "Bearer t"), ("accept-encoding", "gzip"), ("x-mcp-subject", "mallory")]
    status, _, _ = envoy.request("POST", "/mcp", sent, b"{}")

    assert 200 == status
    assert {"authorization": "Bearer t", "accept-encoding": "gzip"}.items() <= mcp_server.headers().items()
    assert "x-mcp-subject" not in mcp_server.headers()
    assert "200" == envoy.access_log(1)[0]["would"]


def test_in_shadow_mode_a_service_that_is_down_stops_nobody(start, mcp_server):
    envoy = start(RenderOptions(shadow=True))

    assert 200 == envoy.request("POST", "/mcp", body=b"{}")[0]
    assert "503" == envoy.access_log(1)[0]["would"]


def test_in_shadow_mode_a_body_over_the_limit_is_refused_as_always(start, checks, mcp_server):
    envoy = start(RenderOptions(shadow=True), max_request_bytes=4096)

    assert (413, []) == (envoy.request("POST", "/mcp", body=b"x" * 4097)[0], mcp_server.seen)


# --- --health-path


def test_a_load_balancer_is_answered_by_the_service_without_a_token_or_a_decision(start, checks, mcp_server):
    checks.answer = _denial()
    with upstream() as service:
        envoy = start(RenderOptions(health_path="/up"), http=Address(host="127.0.0.1", port=service.port))
        answers = [envoy.request("GET", path)[0] for path in ("/up", "/up/", "/healthz", "/mcp")]
        asked = [path for path, *_ in service.seen]

    assert ([200, 401, 401, 401], ["/healthz"]) == (answers, asked)
    assert [] == mcp_server.seen


# --- --rate-limit


@pytest.fixture
def ask(checks):
    """Ask for a tool as somebody; gives the status."""

    def run(envoy, sub, tool, server="demo"):
        said = {"sub": sub, "tool": tool, "server": server}
        checks.answer = _allowance(**{key: value for key, value in said.items() if value is not None})
        return envoy.request("POST", "/mcp", [("origin", ORIGIN)], b"{}")

    return lambda *words: run(*words)[0], run


TWO_AN_HOUR = RenderOptions(rate=Rate(calls=2, seconds=3600))


def test_each_caller_has_so_many_calls_of_each_tool_at_each_server(start, ask, mcp_server):
    status, _ = ask
    envoy = start(TWO_AN_HOUR)
    asked = [
        ("alice", "echo"),
        ("alice", "read"),
        ("bob", "echo"),
        (None, "echo"),
        ("alice", "echo", "other"),
    ]

    assert {who: [200, 200, 429] for who in asked} == {
        who: [status(envoy, *who) for _ in range(3)] for who in asked
    }
    assert 2 * len(asked) == len(mcp_server.seen)


def test_a_request_that_calls_no_tool_is_not_counted(start, ask):
    status, _ = ask
    envoy = start(TWO_AN_HOUR)

    assert [200] * 5 == [status(envoy, "alice", None) for _ in range(5)]


def test_a_call_too_many_is_answered_in_json_rpc_with_the_headers_a_browser_needs(start, ask):
    _, whole = ask
    envoy = start(RenderOptions(rate=Rate(calls=1, seconds=3600)))
    whole(envoy, "alice", "echo")
    status, headers, body = whole(envoy, "alice", "echo")

    assert (429, ORIGIN) == (status, headers["access-control-allow-origin"])
    assert {"code": -32000, "message": "too many calls of this tool"} == json.loads(body)["error"]
    assert b"-32000.0" not in body


def test_the_services_own_429_keeps_its_body_beside_a_rate_limit(start, checks):
    checks.answer = _denial(reason="too_many_streams")
    checks.answer.denied_response.status.code = 429
    status, _, body = start(TWO_AN_HOUR).request("POST", "/mcp", body=b"{}")

    assert (429, b"no") == (status, body)


def test_the_number_of_buckets_is_bounded_and_the_oldest_gives_way(start, ask):
    status, _ = ask
    envoy = start(TWO_AN_HOUR, edit=lambda text: text.replace("descriptors: 10000", "descriptors: 2"))
    spent = [status(envoy, "alice", "echo") for _ in range(3)]
    others = [status(envoy, "alice", f"tool-{n}") for n in range(3)]

    assert ([200, 200, 429], [200] * 3) == (spent, others)
    assert 200 == status(envoy, "alice", "echo")


# --- --native-filter

TYPES = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")]
SSE = [("accept", "text/event-stream"), ("mcp-session-id", "s")]
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MODERN = [*TYPES, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")]
MODERN_CALL = {**CALL, "params": {**CALL["params"], "_meta": META}}
PASSED = {
    "a call": ("POST", TYPES, CALL),
    "a call of 2026": ("POST", MODERN, MODERN_CALL),
    "a charset": ("POST", [("content-type", "application/json; charset=utf-8"), TYPES[1]], CALL),
    "a notification": ("POST", TYPES, {"jsonrpc": "2.0", "method": "notifications/initialized"}),
    "a client's result": ("POST", TYPES, {"jsonrpc": "2.0", "id": 4, "result": {}}),
    "a client's error": ("POST", TYPES, {"jsonrpc": "2.0", "id": 4, "error": {"code": -1, "message": "no"}}),
    "a method of the vendor's": ("POST", TYPES, {**CALL, "method": "vendor/status"}),
    "an id that is a string": ("POST", TYPES, {**CALL, "id": "a"}),
    "a stream": ("GET", SSE, None),
    "the end of a session": ("DELETE", SSE[1:], None),
}
REFUSED = {
    "a batch": ("POST", TYPES, [CALL]),
    "no jsonrpc": ("POST", TYPES, {key: value for key, value in CALL.items() if key != "jsonrpc"}),
    "no JSON": ("POST", TYPES, b"{"),
    "a key twice": ("POST", TYPES, json.dumps(CALL).replace('"id"', '"method":"ping","id"').encode()),
    "one type accepted": ("POST", [TYPES[0], ("accept", "application/json")], CALL),
    "another tool in the header": ("POST", [*MODERN[:-1], ("mcp-name", "other")], MODERN_CALL),
    "no _meta in 2026": ("POST", MODERN, CALL),
    "a body over the limit": ("POST", TYPES, {**CALL, "pad": "x" * (1 << 20)}),
    "a GET for no stream": ("GET", [], None),
}


def _sent(envoy, case):
    method, headers, body = case
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return envoy.request(method, "/mcp", headers, sent)[0]


def test_envoys_own_filter_lets_what_clients_send_through_to_be_judged(start, checks, mcp_server):
    envoy = start(RenderOptions(native_filter=True))

    assert dict.fromkeys(PASSED, 200) == {what: _sent(envoy, case) for what, case in PASSED.items()}
    assert len(PASSED) == len(checks.seen) == len(mcp_server.seen)


def test_envoys_own_filter_refuses_before_anybody_is_asked(start, checks, mcp_server):
    envoy = start(RenderOptions(native_filter=True))

    assert dict.fromkeys(REFUSED, 400) == {what: _sent(envoy, case) for what, case in REFUSED.items()}
    assert ([], []) == (checks.seen, mcp_server.seen)


def test_envoys_own_filter_leaves_what_is_no_mcp_to_the_service(start, checks):
    envoy = start(RenderOptions(native_filter=True))
    asked = [("origin", ORIGIN), ("access-control-request-method", "POST")]

    assert 200 == envoy.request("OPTIONS", "/mcp", asked)[0]
    assert (404, 1) == (envoy.request("GET", "/elsewhere")[0], len(checks.seen))
    assert (
        503 == envoy.request("GET", "/.well-known/oauth-protected-resource/mcp")[0]
    )  # nobody is at that port
    assert 1 == len(checks.seen)


@pytest.mark.parametrize(
    "options", [RenderOptions(), RenderOptions(native_filter=True)], ids=["plain", "native filter"]
)
def test_a_body_of_the_limit_passes_whole_though_connections_hold_back_less(
    start, checks, mcp_server, options
):
    limit = 1 << 20
    empty = len(json.dumps({**CALL, "pad": ""}))
    body = json.dumps({**CALL, "pad": "x" * (limit - empty)}).encode()
    envoy = start(options)

    assert (200, limit) == (envoy.request("POST", "/mcp", TYPES, body)[0], len(body))
    assert [body, body] == [checks.seen[0].attributes.request.http.raw_body, mcp_server.seen[0][2]]


# --- --max-connections


def test_a_connection_too_many_is_closed_at_once(start, checks):
    envoy = start(RenderOptions(max_connections=1))
    with _held(envoy.port) as first, socket.create_connection(("127.0.0.1", envoy.port), DEADLINE) as second:
        refused = _reads_end(second)
        first.request("POST", "/mcp", body=b"{}")

        assert (True, 200) == (refused, first.getresponse().status)


@contextlib.contextmanager
def _held(port):
    """A connection that Envoy has accepted and serves; the probe of its start may still be counted for a moment."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)

    def served():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/mcp", body=b"{}")
            return connection.getresponse().read() is not None
        connection.close()
        return False

    assert eventually(served)
    try:
        yield connection
    finally:
        connection.close()


def _reads_end(connection):
    with contextlib.suppress(ConnectionError):
        return connection.recv(1) == b""
    return True


def test_a_connection_of_http_2_may_open_a_hundred_streams(start, checks):
    envoy = start(RenderOptions())
    with socket.create_connection(("127.0.0.1", envoy.port), DEADLINE) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        frames = connection.makefile("rb")
        head = frames.read(9)
        settings = dict(struct.iter_unpack(">HI", frames.read(int.from_bytes(head[:3]))))

    assert (4, 100) == (
        head[3],
        settings[3],
    )  # SETTINGS, SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113 section 6.5.2)


# --- --otel


class _Collector:
    """Keeps every span that it is sent (OTLP over gRPC)."""

    def __init__(self):
        self.spans = []
        self.port = 0

    def export(self, request, _context):
        """Take some."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return otlp_pb2.Answer()


@pytest.fixture
def collector():
    state, server = _Collector(), grpc.server(ThreadPoolExecutor(2))
    export = grpc.unary_unary_rpc_method_handler(
        state.export, otlp_pb2.TraceRequest.FromString, otlp_pb2.Answer.SerializeToString
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": export})])
    state.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield state
    server.stop(None).wait(DEADLINE)


def _traced(collector, percent):
    return RenderOptions(
        tracing=Tracing(collector=Address(host="127.0.0.1", port=collector.port), percent=percent)
    )


def _flushed(text):
    """Export every span at once, where the default waits for five."""
    return (
        text
        + "\nlayered_runtime: {layers: [{name: here, static_layer: {tracing.opentelemetry.min_flush_spans: 1}}]}\n"
    )


def test_a_span_says_what_was_decided_and_not_about_whom(start, checks, collector):
    checks.answer = _denial(tool="echo", sub="alice", method="tools/call")
    envoy = start(_traced(collector, 100), edit=_flushed)
    envoy.request("POST", "/mcp?a=b", [("authorization", "Bearer t")], b"{}")

    assert eventually(lambda: collector.spans)
    said = {each.key: each.value.string_value for span in collector.spans for each in span.attributes}
    expected = {
        "mcp_authz.decision": "deny",
        "mcp_authz.reason": "missing_token",
        "gen_ai.tool.name": "echo",
        "mcp.method.name": "tools/call",
    }
    assert expected.items() <= said.items()
    assert not {"alice", "Bearer t"} & set(said.values())
    assert said["http.url"].endswith("/mcp?a=b")


def test_the_service_gets_the_trace_as_grpc_metadata_and_the_server_as_a_header(
    start, checks, collector, mcp_server
):
    envoy = start(_traced(collector, 100), edit=_flushed)
    envoy.request("POST", "/mcp", body=b"{}")

    assert eventually(lambda: collector.spans)
    trace = collector.spans[0].trace_id.hex()
    assert trace in checks.metadata[0]["traceparent"]
    assert trace in mcp_server.headers()["traceparent"]


def _parent(trace_id, sampled):
    return ("traceparent", f"00-{trace_id}-b7ad6b7169203331-{sampled}")


ASKED_FOR = [
    ("x-client-trace-id", "a"),
    ("x-request-id", "0af76519-16cd-9001-8448-eb211c80319c"),
    ("x-envoy-force-trace", "true"),
    _parent("1" * 32, "01"),
]
"""What makes some proxies trace a request."""


def test_no_header_of_a_client_gets_it_a_span(start, checks, collector):
    admin = Address(host="127.0.0.1", port=free_port())
    envoy = start(_traced(collector, 0), edit=_flushed, admin=admin)
    for header in ASKED_FOR:
        envoy.request("POST", "/mcp", [header], b"{}")
    stats = httpx.get(
        f"http://{admin.authority}/stats?filter=tracing&format=json", trust_env=False, timeout=DEADLINE
    ).json()
    counted = {stat["name"].rpartition(".")[2]: stat.get("value") for stat in stats["stats"]}

    assert len(ASKED_FOR) == counted["not_traceable"]
    assert (0, 0, 0) == tuple(counted[name] for name in ("random_sampling", "client_enabled", "spans_sent"))


def test_a_sampled_request_keeps_the_trace_that_it_came_with(start, checks, collector):
    envoy = start(_traced(collector, 100), edit=_flushed)
    envoy.request("POST", "/mcp", [_parent("2" * 32, "00")], b"{}")
    envoy.request("POST", "/mcp", [_parent("1" * 32, "01")], b"{}")

    assert eventually(lambda: collector.spans)
    assert {"1" * 32} == {span.trace_id.hex() for span in collector.spans}


# --- TLS


@pytest.fixture
def ours(directory):
    return Authority(directory)


@pytest.fixture
def theirs(directory):
    return Authority(directory, "theirs")


def _shown(pair):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    return context


@pytest.mark.parametrize(
    ("certified", "status"),
    [
        (lambda ours, theirs: ours.certify("server", "localhost"), 200),
        (lambda ours, theirs: ours.certify("server", "other.example"), 503),
        (lambda ours, theirs: ours.certify("localhost"), 503),
        (lambda ours, theirs: theirs.certify("server", "localhost"), 503),
    ],
    ids=["its name", "another name", "no name but the subject's", "another authority"],
)
def test_an_https_server_is_reached_only_with_a_certificate_for_its_name(
    start, checks, ours, theirs, certified, status
):
    with upstream(_shown(certified(ours, theirs))) as server:
        envoy = start(RenderOptions(upstream_ca=str(ours.cert)), upstream_tls=True, server_port=server.port)
        seen = envoy.request("POST", "/mcp", body=b"{}")[0]

    assert (status, status == 200) == (seen, bool(server.seen))


def test_clients_speak_tls_of_today_and_nothing_else(start, checks, ours):
    pair = ours.certify("gateway", "localhost")
    envoy = start(RenderOptions(clients=Certificate(cert=str(pair.cert), key=str(pair.key))))
    trust = ssl.create_default_context(cafile=ours.cert)
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", envoy.port), DEADLINE) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        agreed = secure.selected_alpn_protocol(), secure.version()
    web = http.client.HTTPSConnection(
        "localhost", envoy.port, timeout=DEADLINE, context=ssl.create_default_context(cafile=ours.cert)
    )
    web.request("POST", "/mcp", body=b"{}")

    assert ("h2", "TLSv1.3") == agreed
    assert 200 == web.getresponse().status
    web.close()
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        envoy.request("POST", "/mcp", body=b"{}")


def _mounted(volume, pair, turn):
    """Put a pair where Kubernetes would: a new directory, and one link that is replaced to show it."""
    (volume / turn).mkdir(parents=True)
    for file, name in ((pair.cert, "tls.crt"), (pair.key, "tls.key")):
        (volume / turn / name).write_bytes(file.read_bytes())
        if not (volume / name).is_symlink():
            (volume / name).symlink_to(f"..data/{name}")
    (volume / "next").symlink_to(turn)
    (volume / "next").replace(volume / "..data")


def test_a_watched_certificate_is_presented_anew_once_it_is_renewed(start, directory, checks, ours):
    volume, secret = directory / "mounted", directory / "tls.yaml"
    text = SHIPPED_SECRET.read_text("utf-8").replace("/etc/envoy-tls", str(volume))
    secret.write_text(text, encoding="utf-8")
    pairs = [ours.certify(f"gateway-{turn}", "localhost") for turn in (1, 2)]
    _mounted(volume, pairs[0], "..1")
    envoy = start(RenderOptions(clients=WatchedSecret(file=str(secret))))

    def presented():
        return ssl.get_server_certificate(("127.0.0.1", envoy.port), timeout=DEADLINE)

    assert pairs[0].cert.read_text("utf-8") == presented()
    _mounted(volume, pairs[1], "..2")
    assert eventually(lambda: pairs[1].cert.read_text("utf-8") == presented())


MUTUAL = {
    "both known": ("ours", "localhost", "ours", 200),
    "the service is of another authority": ("theirs", "localhost", "ours", 503),
    "the service has another name": ("ours", "other.example", "ours", 503),
    "envoy is of another authority": ("ours", "localhost", "theirs", 503),
}


@pytest.mark.parametrize(("service_of", "name", "envoy_of", "status"), MUTUAL.values(), ids=MUTUAL)
def test_envoy_and_the_service_know_each_other_or_nobody_gets_through(
    start, ours, theirs, mcp_server, service_of, name, envoy_of, status
):
    by = {"ours": ours, "theirs": theirs}
    shown, own = by[service_of].certify("service", name), by[envoy_of].certify("envoy")
    server = grpc.ssl_server_credentials(
        [(shown.key.read_bytes(), shown.cert.read_bytes())], ours.cert.read_bytes(), require_client_auth=True
    )
    port = free_port()
    mutual = MutualTls(ca=str(ours.cert), own=Certificate(cert=str(own.cert), key=str(own.key)))
    with check_service(f"127.0.0.1:{port}", server) as service:
        service.answer = ALLOW
        envoy = start(RenderOptions(service=mutual), service=Address(host="localhost", port=port))
        seen = envoy.request("POST", "/mcp", body=b"{}")[0]

    assert (status, status == 200) == (seen, bool(mcp_server.seen))


# --- several servers


SEVERAL_ASKED = {
    ("orders.example.com", "/mcp"): ("orders", "/mcp"),
    ("orders.example.com:8443", "/mcp"): ("orders", "/mcp"),
    ("ORDERS.example.com", "/mcp"): ("orders", "/mcp"),
    ("tools.example.com", "/search/mcp"): ("search", "/mcp"),
    ("tools.example.com", "/files/mcp"): ("files", "/files/mcp"),
    ("tools.example.com", "/status"): ("status", "/status"),
    ("orders.example.com", "/status"): ("status", "/status"),
    ("elsewhere.example.com", "/status"): ("status", "/status"),
    ("tools.example.com", "/mcp"): None,
    ("orders.example.com", "/files/mcp"): None,
    ("elsewhere.example.com", "/mcp"): None,
    ("tools.example.com", "/search/mcp/"): None,
    ("tools.example.com", "/search"): None,
}


def test_of_several_servers_each_is_reached_at_its_host_and_path_and_every_request_is_judged(
    directory, checks, ours
):
    with contextlib.ExitStack() as running:
        tls = _shown(ours.certify("search", "localhost"))
        servers = {
            e.name: running.enter_context(upstream(tls if e.upstream_tls else None))
            for e in SEVERAL.endpoints
        }
        chain = dataclasses.replace(
            SEVERAL,
            endpoints=tuple(
                dataclasses.replace(e, upstream_host="localhost", upstream_port=servers[e.name].port)
                for e in SEVERAL.endpoints
            ),
            listen=Address(host="127.0.0.1", port=free_port()),
            service=Address(path=f"{directory}/authz.sock"),
            http=Address(host="127.0.0.1", port=free_port()),
            check_timeout=5,
            options=RenderOptions(upstream_ca=str(ours.cert)),
        )
        envoy = running.enter_context(running_envoy(bootstrap(chain), chain.listen.port, directory))
        statuses = {
            (host, path): envoy.request("POST", path, [("host", host)], b"{}")[0]
            for host, path in SEVERAL_ASKED
        }
        seen = sorted((name, path) for name, server in servers.items() for path, _, _ in server.seen)

    assert {asked: 200 if goal else 404 for asked, goal in SEVERAL_ASKED.items()} == statuses
    assert sorted(goal for goal in SEVERAL_ASKED.values() if goal) == seen
    assert len(SEVERAL_ASKED) == len(checks.seen)


# --- --part filters


def test_in_a_foreign_chain_other_routes_are_judged_unless_their_owner_says_otherwise(
    directory, checks, mcp_server
):
    port = free_port()
    chain = dataclasses.replace(SIDECAR, service=Address(path=f"{directory}/authz.sock"), check_timeout=5)
    text = pasted(filters(chain)).replace("port_value: 10000", f"port_value: {port}")
    checks.answer = _denial()
    with running_envoy(
        text.replace("port_value: 8081", f"port_value: {mcp_server.port}"), port, directory
    ) as envoy:
        shop = [("host", "shop.example.com")]
        open_, guarded = (envoy.request("GET", path, shop) for path in ("/", "/guarded"))

    assert (200, 401, 1) == (open_[0], guarded[0], len(checks.seen))
    assert ["theirs", "theirs"] == [headers["x-edge"] for _, headers, _ in (open_, guarded)]
    assert ["/"] == [path for path, _, _ in mcp_server.seen]

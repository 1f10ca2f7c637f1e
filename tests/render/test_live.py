"""What the rendered configuration makes a real Envoy do."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from envoy.config.core.v3 import base_pb2
from envoy.service.auth.v3 import external_auth_pb2

from authz.core.transport import IDENTITY_HEADERS
from authz.demo.ports import free_port
from authz.render.address import Address
from authz.render.bootstrap import bootstrap
from authz.render.model import Chain, Endpoint
from tests.support.real_envoy import check_service, running_envoy, upstream

pytestmark = pytest.mark.envoy

LIMIT = 4096
ORIGIN = "http://localhost:6274"


@pytest.fixture(scope="module")
def directory():
    """A short path: a Unix socket's name has at most about a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="ma"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def mcp_server():
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def service_http():
    with upstream() as server:
        yield server


@pytest.fixture(scope="module")
def checks(directory):
    with check_service(f"unix:{directory}/authz.sock") as service:
        yield service


@pytest.fixture(scope="module")
def chain(directory, mcp_server, service_http):
    demo = Endpoint(
        name="demo",
        hosts=("localhost", "127.0.0.1"),
        path="/mcp",
        upstream_host="127.0.0.1",
        upstream_port=mcp_server.port,
        upstream_path="/inner",
        origins=(ORIGIN,),
    )
    return Chain(
        endpoints=(demo,),
        listen=Address(host="127.0.0.1", port=free_port()),
        service=Address(path=f"{directory}/authz.sock"),
        http=Address(host="127.0.0.1", port=service_http.port),
        max_request_bytes=LIMIT,
        check_timeout=5,
    )


@pytest.fixture(scope="module")
def shared_envoy(chain, checks, directory):
    with running_envoy(bootstrap(chain), chain.listen.port, directory) as envoy:
        yield envoy


@pytest.fixture
def envoy(shared_envoy, checks, mcp_server, service_http):
    checks.answer = external_auth_pb2.CheckResponse(ok_response=external_auth_pb2.OkHttpResponse())
    for seen in (checks.seen, mcp_server.seen, service_http.seen):
        seen.clear()
    return shared_envoy


def _set(name: str, value: str) -> base_pb2.HeaderValueOption:
    return base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=name, value=value))


def _headers(check: external_auth_pb2.CheckRequest) -> dict[str, str]:
    return dict(check.attributes.request.http.headers)


def test_the_service_gets_headers_as_a_map_with_lower_case_names_and_without_cookies(envoy, checks):
    envoy.request("POST", "/mcp", [("X-Odd", "a"), ("cookie", "a=b")], b"{}")
    request = checks.seen[0].attributes.request.http

    assert [] == list(request.header_map.headers)
    assert "a" == _headers(checks.seen[0])["x-odd"]
    assert "cookie" not in _headers(checks.seen[0])


def test_the_service_gets_the_exact_bytes_of_the_body(envoy, checks, mcp_server):
    body = b'{"a":"\xff\xfe"}'
    envoy.request("POST", "/mcp", body=body)
    request = checks.seen[0].attributes.request.http

    assert (body, "") == (request.raw_body, request.body)
    assert body == mcp_server.seen[0][2]


@pytest.mark.parametrize(
    "name",
    ["authorization", "mcp-name", "mcp-session-id", "origin", "content-type", "last-event-id", "x-other"],
)
def test_a_header_sent_twice_shows_as_one_with_a_comma(envoy, checks, name):
    envoy.request("POST", "/mcp", [(name, "a"), (name, "b")], b"{}")

    assert "a,b" == _headers(checks.seen[0])[name]


@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("name", IDENTITY_HEADERS)
def test_an_identity_header_sent_by_a_client_reaches_neither_service_nor_server(
    envoy, checks, mcp_server, name, spell
):
    envoy.request("POST", "/mcp", [(spell(name), "mallory"), (spell(name), "eve")], b"{}")

    assert name not in _headers(checks.seen[0])
    assert name not in mcp_server.headers()


def test_a_name_with_an_underscore_reaches_the_service_which_refuses_what_imitates(envoy, checks, mcp_server):
    sent = [("x_mcp_subject", "mallory"), ("mcp-param-user_id", "7")]
    status, _, _ = envoy.request("POST", "/mcp", sent, b"{}")

    assert 200 == status
    assert dict(sent).items() <= _headers(checks.seen[0]).items()
    assert "7" == mcp_server.headers()["mcp-param-user_id"]


@pytest.mark.parametrize("separator", "!#$%&'*+.^`|~")
def test_an_identity_header_with_other_separators_reaches_neither_service_nor_server(
    envoy, checks, mcp_server, separator
):
    name = separator.join(("X", "Mcp", "Subject"))
    status, _, _ = envoy.request("POST", "/mcp", [(name, "mallory"), ("x-mcp-readonly", "true")], b"{}")

    assert 200 == status
    assert name.lower() not in _headers(checks.seen[0])
    assert (False, "true") == (
        name.lower() in mcp_server.headers(),
        mcp_server.headers()["x-mcp-readonly"],
    )


def test_the_service_sets_identity_headers_and_removes_the_token_and_accept_encoding(
    envoy, checks, mcp_server
):
    checks.answer.ok_response.headers.extend(_set(name, "alice") for name in IDENTITY_HEADERS)
    checks.answer.ok_response.headers_to_remove.extend(["authorization", "accept-encoding"])
    sent = [("authorization", "Bearer t"), ("accept-encoding", "gzip"), ("x-mcp-subject", "mallory")]
    status, _, _ = envoy.request("POST", "/mcp", sent, b"{}")

    assert 200 == status
    assert dict.fromkeys(IDENTITY_HEADERS, "alice") == {
        name: value for name, value in mcp_server.seen[0][1] if name in IDENTITY_HEADERS
    }
    assert not {"authorization", "accept-encoding"} & set(mcp_server.headers())


def test_a_header_that_the_service_sets_by_raw_value_arrives_empty(envoy, checks, mcp_server):
    """Envoy 1.40 reads only `value` of ext_authz responses; the service must not fill `raw_value`."""
    option = base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key="x-mcp-subject", raw_value=b"alice"))
    checks.answer.ok_response.headers.append(option)
    envoy.request("POST", "/mcp", body=b"{}")

    assert "" == mcp_server.headers()["x-mcp-subject"]


def test_a_header_that_nobody_removes_is_forwarded(envoy, mcp_server):
    envoy.request("POST", "/mcp", [("authorization", "Bearer t"), ("accept-encoding", "gzip")], b"{}")

    assert {"authorization", "accept-encoding"} <= set(mcp_server.headers())


@pytest.mark.parametrize("name", [":path", ":authority", "x-envoy-retry-on", "content-type", "x-custom"])
def test_the_service_setting_any_other_header_is_an_error(envoy, checks, mcp_server, name):
    checks.answer.ok_response.headers.append(_set(name, "/x"))
    status, _, _ = envoy.request("POST", "/mcp", body=b"{}")

    assert 500 == status
    assert [] == mcp_server.seen


@pytest.mark.parametrize("name", ["content-type", "host"])
def test_the_service_removing_any_other_header_is_an_error(envoy, checks, mcp_server, name):
    checks.answer.ok_response.headers_to_remove.append(name)
    status, _, _ = envoy.request("POST", "/mcp", [("content-type", "a/b"), ("mcp-name", "echo")], b"{}")

    assert (500, []) == (status, mcp_server.seen)


@pytest.mark.parametrize(
    "name", ["x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms", "x-envoy-original-path"]
)
def test_envoy_headers_from_a_client_on_this_machine_are_dropped(envoy, mcp_server, name):
    """Envoy writes x-envoy-original-path itself where it rewrites the path; what counts is whose value it is."""
    envoy.request("POST", "/mcp", [(name, "77")], b"{}")

    assert "77" != mcp_server.headers().get(name)


def test_a_body_over_the_limit_is_413_in_json_rpc_and_is_not_judged(envoy, checks, mcp_server):
    status, _, body = envoy.request("POST", "/mcp", body=b"x" * (LIMIT + 1))
    error = {"code": -32600, "message": "request body too large", "data": {"reason": "body_too_large"}}

    assert (413, {"jsonrpc": "2.0", "id": None, "error": error}) == (status, json.loads(body))
    assert b"-32600.0" not in body
    assert ([], []) == (checks.seen, mcp_server.seen)


@pytest.mark.parametrize("path", ["/", "/mcp/", "/mcp2", "/MCP", "/mcp;a", "/metrics"])
def test_a_path_of_no_endpoint_is_judged_and_then_404(envoy, checks, mcp_server, path):
    status, _, _ = envoy.request("GET", path)

    assert (404, 1) == (status, len(checks.seen))
    assert [] == mcp_server.seen


@pytest.mark.parametrize("path", ["//mcp", "/x/../mcp", "/%6dcp"])
def test_another_spelling_of_the_path_is_judged_as_the_path_that_is_routed(envoy, checks, mcp_server, path):
    status, _, _ = envoy.request("GET", path)

    assert {"/mcp": 200}.get(checks.seen[0].attributes.request.http.path, 404) == status


def test_an_escaped_slash_in_the_path_is_refused(envoy, checks):
    status, _, _ = envoy.request("GET", "/x%2f..%2fmcp")

    assert (400, []) == (status, checks.seen)


def test_a_host_of_no_endpoint_is_judged_and_then_404(envoy, checks, mcp_server):
    status, _, _ = envoy.request("POST", "/mcp", [("host", "evil.example")], b"{}")

    assert (404, 1, []) == (status, len(checks.seen), mcp_server.seen)


def test_metadata_is_served_without_being_judged(envoy, checks, service_http):
    status, _, _ = envoy.request("GET", "/.well-known/oauth-protected-resource/mcp")

    assert (200, []) == (status, checks.seen)
    assert "/.well-known/oauth-protected-resource/mcp" == service_http.seen[0][0]


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-protected-resource/../../metrics",
        "/.well-known/oauth-protected-resource/%2e%2e/%2e%2e/metrics",
        "/.well-known/oauth-protected-resource2",
    ],
)
def test_nothing_but_metadata_is_reachable_on_the_services_http_port(envoy, checks, service_http, path):
    status, _, _ = envoy.request("GET", path)

    assert (404, 1, []) == (status, len(checks.seen), service_http.seen)


def test_the_server_sees_its_own_host_and_path(envoy, mcp_server):
    envoy.request("POST", "/mcp?a=b", body=b"{}")

    assert "/inner?a=b" == mcp_server.seen[0][0]
    assert f"127.0.0.1:{mcp_server.port}" == mcp_server.headers()["host"]


@pytest.mark.parametrize("path", ["/mcp", "/.well-known/oauth-protected-resource"])
def test_a_listed_origins_preflight_is_answered_without_a_token(envoy, checks, path):
    asked = [("origin", ORIGIN), ("access-control-request-method", "POST")]
    status, headers, _ = envoy.request("OPTIONS", path, asked)

    assert (200, ORIGIN, []) == (status, headers["access-control-allow-origin"], checks.seen)


def test_a_denial_reaches_the_browser_with_cors_headers_and_its_challenge(envoy, checks):
    denied = external_auth_pb2.DeniedHttpResponse(headers=[_set("www-authenticate", "Bearer")])
    denied.status.code = 401
    checks.answer = external_auth_pb2.CheckResponse(status={"code": 16}, denied_response=denied)
    status, headers, _ = envoy.request("POST", "/mcp", [("origin", ORIGIN)], b"{}")

    assert (401, "Bearer", ORIGIN) == (
        status,
        headers["www-authenticate"],
        headers["access-control-allow-origin"],
    )
    assert "WWW-Authenticate" in headers["access-control-expose-headers"]


def test_the_access_log_holds_the_decision_and_no_other_metadata(chain, checks, directory, mcp_server):
    """Its own Envoy, so that the log holds one line only."""
    checks.answer = external_auth_pb2.CheckResponse(ok_response=external_auth_pb2.OkHttpResponse())
    checks.answer.dynamic_metadata.update(
        {"tool": "echo", "decision": "allow", "caller": {"email": "a@example.com"}}
    )
    own = directory / "own"
    own.mkdir()
    moved = dataclasses.replace(chain, listen=Address(host="127.0.0.1", port=free_port()))
    with running_envoy(bootstrap(moved), moved.listen.port, own) as envoy:
        envoy.request("POST", "/mcp?secret=1", body=b"{}")
        checks.answer = external_auth_pb2.CheckResponse(
            status={"code": 7}, denied_response=external_auth_pb2.DeniedHttpResponse(status={"code": 403})
        )
        envoy.request("POST", "/mcp", body=b"{}")
        envoy.request("GET", "/.well-known/oauth-protected-resource")
        line, *others = envoy.access_log(3)

    # Only Envoy's own flags have a sign for nothing; what else is empty is left out.
    assert [] == [
        (name, value)
        for each in (line, *others)
        for name, value in each.items()
        if value in {None, "", "-"} and name != "flags"
    ]
    assert [200, 403] == [line["status"], others[0]["status"]]
    assert "tool" not in others[0]
    assert ("echo", "allow", 200, "/mcp") == (line["tool"], line["decision"], line["status"], line["path"])
    assert "example.com" not in json.dumps(line)
    assert line["authz_us"] is not None


def test_without_the_service_every_request_is_503_and_the_server_sees_nothing(chain, directory, mcp_server):
    mcp_server.seen.clear()
    own = directory / "down"
    own.mkdir()
    down = dataclasses.replace(
        chain,
        listen=Address(host="127.0.0.1", port=free_port()),
        service=Address(path=f"{own}/nobody.sock"),
    )
    with running_envoy(bootstrap(down), down.listen.port, own) as envoy:
        status, _, _ = envoy.request("POST", "/mcp", body=b"{}")

    assert (503, []) == (status, mcp_server.seen)

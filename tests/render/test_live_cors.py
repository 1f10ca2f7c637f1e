"""What a policy's `cors` lets a browser do, asked of a real Envoy as browsers ask."""

import dataclasses

import pytest

from authz.config.settings import Cors
from authz.demo.ports import free_port
from authz.render.bootstrap import bootstrap
from authz.render.plan import plan
from tests.support.policy_files import NATIVE, settings
from tests.support.real_envoy import running_envoy, validate

pytestmark = pytest.mark.envoy

ORIGIN = "https://app.example"
PATHS = {"plain": "/plain", "own": "/own"}
POLICY = NATIVE.partition("servers:")[0] + (
    "servers:\n"
    f"  plain: {{resource: 'https://mcp.example/plain', upstream: 'http://127.0.0.1:9/mcp', issuers: [main], origins: ['{ORIGIN}']}}\n"
    f"  own: {{resource: 'https://mcp.example/own', upstream: 'http://127.0.0.1:9/mcp', issuers: [main], origins: ['{ORIGIN}'],\n"
    "    cors: {allow_headers: [X-Tenant, 'x-acme-*'], expose_headers: [X-Quota], max_age: 5}}\n"
)


@pytest.fixture(scope="module")
def envoy(tmp_path_factory):
    port = free_port()
    text = bootstrap(plan(settings(POLICY), listen=f"127.0.0.1:{port}"))
    with running_envoy(text, port, tmp_path_factory.mktemp("cors")) as running:
        yield running


def preflight(envoy, server, asked, origin=ORIGIN):
    sent = [("host", "mcp.example"), ("origin", origin), ("access-control-request-method", "POST")]
    status, headers, _ = envoy.request(
        "OPTIONS", PATHS[server], [*sent, ("access-control-request-headers", asked)]
    )
    assert 200 == status
    return headers


@pytest.mark.parametrize(
    ("server", "asked", "expected"),
    [
        (
            "plain",
            "authorization,content-type,mcp-method,mcp-name,mcp-param-user_id,mcp-protocol-version",
            True,
        ),
        ("plain", "traceparent,tracestate", True),
        ("plain", "mcp-param-a,traceparent", True),
        ("plain", "x-tenant", False),
        ("plain", "mcp-param-a,x-tenant", False),
        ("own", "authorization,mcp-param-a,mcp-param-b,x-acme-one,x-tenant", True),
        ("own", "authorization,x-tenant", True),
        ("own", "x-tenants", False),
        ("own", "mcp-param-a,x-acm", False),
    ],
)
def test_a_page_may_send_parameters_of_any_name_traces_and_what_the_policy_lists(
    envoy, server, asked, expected
):
    headers = preflight(envoy, server, asked)
    allowed = {name.strip() for name in headers["access-control-allow-headers"].split(",")}

    assert expected is (set(asked.split(",")) <= allowed)
    assert ORIGIN == headers["access-control-allow-origin"]


def test_a_page_may_read_what_the_policy_lists_and_its_browser_asks_again_when_it_says(envoy):
    plain, own = (preflight(envoy, server, "mcp-param-a") for server in PATHS)

    assert ("600", "5") == (plain["access-control-max-age"], own["access-control-max-age"])
    assert (
        "WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, X-Quota"
        == own["access-control-expose-headers"]
    )
    assert "X-Quota" not in plain["access-control-expose-headers"]


def test_another_origin_may_send_nothing(envoy):
    headers = preflight(envoy, "plain", "mcp-param-a", origin="https://evil.example")

    assert "access-control-allow-origin" not in headers


def test_envoy_compiles_as_many_names_as_a_policy_may_list(tmp_path):
    letters = [f"{first}{i}{'-abcdef' * 2}" for first in "abcdefghijklnopqrstuvwxyz" for i in "1234"]
    wide = dataclasses.replace(
        settings(POLICY), cors={"plain": Cors(allow_headers=(*letters, "mcp-param-*"))}
    )
    ended = validate(bootstrap(plan(wide, listen=":10000")), tmp_path)

    assert 0 == ended.returncode, ended.stderr

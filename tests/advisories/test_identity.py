"""CVE-2023-27487, CVE-2024-45806 (Envoy), CVE-2026-40575, CVE-2025-64484 (oauth2-proxy): headers that pose as trusted
ones. CVE-2025-66414 and its kin: pages of other origins."""

import json

import pytest

from tests.support.running import another_gateway, arrived
from tests.support.wire import ask, call, message

pytestmark = pytest.mark.envoy

BODY = call("system_status")
EVIL = "mallory"
SPOOFED = [
    "x-envoy-auth-partial-body",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-decorator-operation",
    "x-envoy-internal",
    "x-forwarded-uri",
    "x-forwarded-host",
    "x-original-url",
    "x-rewrite-url",
    "x-forwarded-for",
    "x-real-ip",
    "x-mcp-rewrite",
    "x-mcp-trimmed",
    "x-user",
]


@pytest.mark.parametrize("token", ["admin", "user"])
@pytest.mark.parametrize("value", ["false", "true", "/.well-known/oauth-protected-resource", "127.0.0.1"])
def test_no_x_header_changes_a_decision(stack, port, admin, token, value):
    token = admin if token == "admin" else stack.token()
    plain = ask(port, token, BODY)
    spoofed = ask(port, token, BODY, more=[(name, value) for name in SPOOFED])

    assert (plain.status, plain.reason) == (spoofed.status, spoofed.reason)


@pytest.mark.parametrize("value", ["0", "false", "1", "true"])
def test_no_x_header_makes_a_list_longer(stack, port, value):
    asked, spoofs = message("tools/list"), [(name, value) for name in SPOOFED]

    assert ["echo", "get_user_info"] == ask(port, stack.token(), asked, more=spoofs).tools


SPELLINGS = ["x-mcp-{}", "X-MCP-{}", "x.mcp.{}", "x-mcp.{}", "x.mcp-{}", "x~mcp~{}", "X!Mcp`{}", "x|mcp-{}"]
NAMES = ("subject", "client", "scopes", "issuer")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.requirement("protocol.server-knows-the-caller")
def test_the_server_is_told_the_verified_identity_and_no_other(stack, port, spelling):
    token = stack.token(sub="auth0|alice", client="c-1", scope="files:read")
    twins = [(spelling.format(name), EVIL) for name in NAMES for _ in range(2)]
    before = len(stack.arrivals())
    answer = ask(port, token, call("get_user_info"), more=twins)
    told = json.loads(answer.body)["result"]["structuredContent"]
    (arrival,) = stack.arrivals()[before:]

    assert {"subject": "auth0|alice", "client": "c-1", "scopes": "files:read"} == told
    assert {f"x-mcp-{name}" for name in NAMES} == {
        name for name in arrival.headers if "mcp" in name and name[0] == "x"
    }
    assert not arrival.authorization


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_identity_header_without_a_value_of_its_own_is_not_the_clients(stack, port, spelling):
    token = stack.token(claims={"azp": None, "scope": None})
    twins = [(spelling.format(name), EVIL) for name in NAMES]
    before = len(stack.arrivals())
    told = json.loads(ask(port, token, call("get_user_info"), more=twins).body)["result"]["structuredContent"]
    (arrival,) = stack.arrivals()[before:]

    assert {"subject": "auth0|user", "client": "", "scopes": ""} == told
    assert ["x-mcp-issuer", "x-mcp-subject"] == [
        name for name in arrival.headers if "mcp" in name and name[0] == "x"
    ]


@pytest.mark.parametrize(
    "nominated", ["x-mcp-subject", "close, x-mcp-subject, x-mcp-scopes", "content-length"]
)
def test_a_connection_header_takes_no_identity_away(stack, port, nominated):
    """RFC 9110 section 7.6.1 lets a client name headers that a hop removes."""
    answer = ask(port, stack.token(), call("get_user_info"), more=[("connection", nominated)])
    told = json.loads(answer.body)["result"]["structuredContent"]

    assert "auth0|user" == told["subject"]


@pytest.fixture(scope="module")
def strict(stack):
    """A gateway that lists one browser origin."""
    gateway = another_gateway(
        stack, "strict", edit=lambda text: text.replace('["*"]', "[http://localhost:6274]")
    )
    gateway.start()
    return gateway.ports.envoy


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "",
        "http://localhost:6274.evil.example",
        "https://localhost:6274",
        "http://localhost",
        "http://localhost:6274/",
        "http://localhost:6274, http://evil.example",
    ],
)
def test_an_origin_that_is_not_listed_is_403_and_nothing_arrives(stack, strict, admin, origin):
    answers = []
    seen = arrived(
        stack, lambda: answers.append(ask(strict, admin, BODY, more=[("origin", origin)])), port=strict
    )

    assert ([], 403, "bad_origin") == (seen, answers[0].status, answers[0].reason)
    assert "access-control-allow-origin" not in answers[0].headers


def test_a_listed_origin_is_served(stack, strict, admin):
    answer = ask(strict, admin, BODY, more=[("origin", "http://localhost:6274")])

    assert (200, "http://localhost:6274") == (answer.status, answer.headers["access-control-allow-origin"])

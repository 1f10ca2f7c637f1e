"""Attacks that were tried against the running gateway and found closed: hop-by-hop headers, trailers, paths, log lines."""

import base64
import json
import re

import pytest

from authz.core.decision import clip
from tests.support.http2 import h2_headers, h2_request
from tests.support.running import arrived, recorded
from tests.support.wire import ask, call, exchange, message, request

pytestmark = pytest.mark.envoy

BODY = call("system_status")
EVIL = "mallory"


@pytest.mark.parametrize(
    ("nominated", "status"),
    {
        "authorization": 401,
        "te, authorization": 401,
        "Authorization, X-MCP-Subject, x-mcp-issuer": 401,
        "mcp-name": 400,
        "mcp-method": 400,
        "mcp-protocol-version": 400,
        "content-type": 415,
        "host": 400,
    }.items(),
)
def test_a_header_that_a_connection_header_takes_away_was_never_sent(stack, port, admin, nominated, status):
    """RFC 9110 section 7.6.1: what the hop removes must be missing for the judge too, not only for the server."""
    answers = []
    seen = arrived(
        stack, lambda: answers.append(ask(port, admin, BODY, more=[("connection", nominated)]).status)
    )

    assert ([], [status]) == (seen, answers)


OVERRIDES = {
    "x-http-method-override": "GET",
    "x-http-method": "DELETE",
    "x-method-override": "DELETE",
    "x-original-url": "/.well-known/oauth-protected-resource",
    "x-rewrite-url": "/.well-known/oauth-protected-resource",
    "forwarded": "for=127.0.0.1;host=localhost;proto=https",
    "x-forwarded-prefix": "/.well-known",
    "x-forwarded-method": "GET",
    "mcp-param-filename": "/inbox/monday.txt",
    "proxy-authorization": "Bearer x",
    "te": "trailers",
    "trailer": "authorization",
    "keep-alive": "timeout=1",
    "range": "bytes=0-1",
    "if-none-match": "*",
}


@pytest.mark.parametrize(("name", "value"), OVERRIDES.items())
@pytest.mark.parametrize("who", ["admin", "user"])
def test_no_header_that_overrides_method_path_or_argument_changes_a_decision(
    stack, port, admin, who, name, value
):
    token = admin if who == "admin" else stack.token()
    plain = ask(port, token, BODY)
    spoofed = ask(port, token, BODY, more=[(name, value)])

    assert (plain.status, plain.reason) == (spoofed.status, spoofed.reason)


@pytest.mark.parametrize("name", ["range", "if-none-match", "if-range", "accept-encoding", "accept-charset"])
def test_no_condition_on_the_response_makes_a_list_longer(stack, port, name):
    values = {"accept-encoding": "gzip, br, deflate", "accept-charset": "utf-16"}
    answer = ask(port, stack.token(), message("tools/list"), more=[(name, values.get(name, "bytes=0-99999"))])

    assert ["echo", "get_user_info"] == answer.tools


PATHS = {
    "dots": (403, "/.well-known/oauth-protected-resource/../../{}"),
    "escaped dots": (403, "/.well-known/oauth-protected-resource/%2e%2e/%2e%2e/{}"),
    "dots escaped twice": (404, "/.well-known/oauth-protected-resource/%252e%252e/%252e%252e/{}"),
    "dots with a parameter": (403, "/.well-known/oauth-protected-resource/..;/..;/{}"),
    "backslashes": (403, "/.well-known/oauth-protected-resource\\..\\..\\{}"),
    "escaped backslashes": (400, "/.well-known/oauth-protected-resource/..%5c..%5c{}"),
    "escaped slashes": (400, "/.well-known/oauth-protected-resource%2f..%2f..%2f{}"),
    "two slashes": (404, "/.well-known/oauth-protected-resource//{}"),
    "a longer word": (404, "/.well-known/oauth-protected-resource{}"),
    "itself": (403, "/{}"),
}


@pytest.mark.parametrize("page", ["metrics", "readyz", "healthz"])
@pytest.mark.parametrize(("status", "path"), PATHS.values(), ids=PATHS.keys())
def test_no_path_leads_from_the_public_metadata_to_another_page_of_the_service(port, status, path, page):
    answer = exchange(port, request(port, None, b"", start=f"GET {path.format(page)} HTTP/1.1"))

    assert status == answer.status
    assert not re.search(rb"mcp_authz_|issuers_without_keys|^ok$", answer.body, re.MULTILINE)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_public_metadata_can_only_be_read(stack, port, admin, method):
    start = f"{method} /.well-known/oauth-protected-resource/mcp HTTP/1.1"
    answers = []

    assert [] == arrived(stack, lambda: answers.append(ask(port, admin, BODY, start=start).status))
    assert [405] == answers


def test_trailers_of_http_2_bring_the_server_no_identity(stack, port):
    body = call("get_user_info")
    trailers = [("x-mcp-subject", EVIL), ("x-mcp-scopes", EVIL), ("authorization", "Bearer x")]
    before = len(stack.arrivals())
    _, got = h2_request(port, h2_headers(port, stack.token(sub="auth0|alice"), body), body, trailers)
    (arrival,) = stack.arrivals()[before:]

    assert "auth0|alice" == json.loads(got)["result"]["structuredContent"]["subject"]
    assert not arrival.authorization
    assert EVIL.encode() not in got


def test_trailers_of_http_2_bring_no_token(stack, port):
    lines = [line for line in h2_headers(port, "x", BODY) if line[0] != "authorization"]
    token = f"Bearer {stack.token(scope='files:read', roles=['admin'])}"
    answers = []

    assert [] == arrived(
        stack, lambda: answers.append(h2_request(port, lines, BODY, [("authorization", token)])[0])
    )
    assert ["401"] == answers


@pytest.mark.parametrize("protocol", ["websocket", "connect-udp", "http"])
def test_extended_connect_opens_no_tunnel(stack, port, admin, protocol):
    """RFC 8441, RFC 9298."""
    lines = [*h2_headers(port, admin, BODY, **{":method": "CONNECT"}), (":protocol", protocol)]
    answers = []

    assert [] == arrived(stack, lambda: answers.append(h2_request(port, lines, BODY)[0]))
    assert not answers[0].startswith("2")


NAMES = {
    "line end": "echo\n{}",
    "carriage return": "a\rb",
    "escape": "a\x1b[2J",
    "NUL": "a\0b",
    "backspace": "a\b\b\b",
    "quote": 'a","decision":"allow',
    "whole record": '"}\n{"decision":"allow","reason":"allowed","tool":"system_status"}',
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_name_that_imitates_a_log_line_is_one_value_of_one_record(stack, name):
    gateway = stack.gateways["native"]
    coded = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    body = message("tools/call", {"name": name, "arguments": {}})
    records = recorded(
        stack,
        gateway,
        lambda: ask(gateway.ports.envoy, stack.token(), body, change={"mcp-name": coded}),
    )

    assert [("deny", "no_rule", clip(name))] == [(r["decision"], r["reason"], r["tool"]) for r in records]

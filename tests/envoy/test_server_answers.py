"""What the server behind says about itself reaches no client: redirects, challenges, cookies, CORS, identity, codings."""

import gzip
import json
import zlib

import pytest

from tests.support.raw_server import response
from tests.support.running import another_gateway, metrics, recorded
from tests.support.wire import LEGACY_HEADERS, ask, call, legacy, message

pytestmark = pytest.mark.envoy

ORIGIN = "http://localhost:6274"
INNER = (
    'www-authenticate: Bearer resource_metadata="http://inner.internal/.well-known/oauth-protected-resource"'
)
CALL, LIST = call(), message("tools/list", request_id=7)
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"content":[],"resultType":"complete"}}'
TOOLS = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"echo"},{"name":"system_status"}]}}'


@pytest.fixture(scope="module")
def gateways(stack, raw):
    """By what becomes of the token."""
    upstream = f"http://127.0.0.1:{raw.port}/mcp"
    found = {}
    for token in ("remove", "forward"):

        def edit(text, token=token):
            return text.replace("    issuers: [demo]\n", f"    issuers: [demo]\n    token: {token}\n")

        found[token] = another_gateway(stack, f"answers-{token}", upstream=upstream, edit=edit)
        found[token].start()
    return found


@pytest.fixture
def say(raw, gateways, user):
    """Have the server answer, and give what the client of a gateway gets; a page's client, which needs CORS."""

    def said(answer, body=CALL, *, token="remove", **changes):
        raw.script = [answer]
        return ask(gateways[token].ports.envoy, user, body, more=[("origin", ORIGIN)], **changes)

    return said


def ids(body):
    return json.loads(body)["id"]


@pytest.mark.parametrize("body", [CALL, LIST], ids=["call", "list"])
@pytest.mark.parametrize("token", ["remove", "forward"])
@pytest.mark.parametrize(
    "status",
    ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect", "304 Not Modified"],
)
def test_a_redirect_is_a_bad_gateway_and_leads_nowhere(say, body, token, status):
    answer = say(
        response(b"", "text/html", status, "location: http://inner.internal/mcp/"), body, token=token
    )

    assert (502, -32603, ids(body)) == (answer.status, answer.error["code"], ids(answer.body))
    assert "location" not in answer.headers
    assert b"inner" not in answer.body


@pytest.mark.parametrize("body", [CALL, LIST], ids=["call", "list"])
@pytest.mark.parametrize(
    ("status", "more"),
    [
        ("401 Unauthorized", [INNER]),
        ("401 Unauthorized", []),
        ("403 Forbidden", [INNER]),
        ("407 Proxy", ["proxy-authenticate: Basic"]),
    ],
)
def test_a_challenge_that_no_caller_can_answer_is_a_bad_gateway(say, body, status, more):
    answer = say(response(b"no", "text/plain", status, *more), body)

    assert (502, -32603, ids(body)) == (answer.status, answer.error["code"], ids(answer.body))
    assert not {"www-authenticate", "proxy-authenticate"} & answer.headers.keys()


@pytest.mark.parametrize("body", [CALL, LIST], ids=["call", "list"])
@pytest.mark.parametrize(
    ("status", "error"), [("401 Unauthorized", "invalid_token"), ("403 Forbidden", "insufficient_scope")]
)
def test_a_challenge_about_a_forwarded_token_is_ours_and_a_page_can_read_it(
    say, gateways, body, status, error
):
    answer = say(response(b"no", "text/plain", status, INNER), body, token="forward")
    port = gateways["forward"].ports.envoy

    assert (int(status[:3]), ORIGIN) == (answer.status, answer.headers["access-control-allow-origin"])
    assert answer.headers["www-authenticate"].startswith(f'Bearer error="{error}"')
    assert (
        f'resource_metadata="http://localhost:{port}/.well-known/oauth-protected-resource/mcp"'
        in answer.headers["www-authenticate"]
    )
    assert "inner" not in answer.headers["www-authenticate"]


def test_a_refusal_of_the_server_without_a_challenge_passes(say):
    answer = say(response(b"no", "text/plain", "403 Forbidden"))

    assert (403, b"no") == (answer.status, answer.body)


def test_a_challenge_beside_a_result_is_dropped(say):
    answer = say(response(RESULT, "application/json", "200 OK", INNER))

    assert (200, RESULT) == (answer.status, answer.body)
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("body", [CALL, LIST], ids=["call", "list"])
@pytest.mark.parametrize(
    "name",
    [
        *(
            "set-cookie",
            "Set_Cookie",
            "set-cookie2",
            "access-control-allow-credentials",
            "Access_Control_Allow_Headers",
        ),
        *("x-mcp-subject", "X_MCP_Subject", "x-mcp-anything", "X.Mcp.Scopes", "alt-svc"),
    ],
)
def test_the_servers_cookies_cors_and_identity_headers_pass_in_no_spelling(say, body, name):
    answer = say(response(RESULT, "application/json", "200 OK", f"{name}: mallory", "x-own: a"), body)

    assert (200, "a") == (answer.status, answer.headers["x-own"])
    assert "mallory" not in answer.headers.values()


def test_the_gateways_own_cors_headers_stay_and_the_servers_do_not_replace_them(say):
    answer = say(
        response(
            RESULT,
            "application/json",
            "200 OK",
            "access-control-allow-origin: *",
            "access-control-expose-headers: x",
        )
    )

    assert ORIGIN == answer.headers["access-control-allow-origin"]
    assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]


def test_the_record_of_a_refused_answer_says_what_it_became(stack, gateways, say):
    gateway = gateways["remove"]
    redirect = response(b"", "text/html", "302 Found", "location: http://inner.internal/")
    asked, refused = recorded(stack, gateway, lambda: say(redirect))

    assert {
        "decision_id": asked["decision_id"],
        "response": "refused",
        "cause": "redirect",
        "server": asked["server"],
        "method": "tools/call",
        "upstream_status": 302,
        "status": 502,
    } == {name: value for name, value in refused.items() if name != "time"}
    sample = f'mcp_authz_responses_refused_total{{cause="redirect",server="{asked["server"]}"}}'
    assert metrics(gateway)[sample] >= 1


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.requirement("protocol.compressed-lists")
@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_list_is_decoded_and_trimmed(say, coding):
    answer = say(
        response(CODINGS[coding](TOOLS), "application/json", "200 OK", f"content-encoding: {coding}"), LIST
    )

    assert ["echo"] == answer.tools
    assert "content-encoding" not in answer.headers
    assert str(len(answer.body)) == answer.headers["content-length"]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_stream_is_decoded_and_trimmed(say, coding):
    events = CODINGS[coding](b"event: message\ndata: " + TOOLS + b"\n\n")
    answer = say(response(events, "text/event-stream", "200 OK", f"content-encoding: {coding}"), LIST)

    assert b'"echo"' in answer.body
    assert b"system_status" not in answer.body
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"\x0b"),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("gzip, gzip", gzip.compress(gzip.compress(TOOLS))),
        ("gzip", b"no gzip"),
        ("gzip", gzip.compress(TOOLS)[:-4]),
        ("gzip", gzip.compress(TOOLS) + b"more"),
    ],
    ids=["br", "zstd", "two", "none", "cut off", "with more"],
)
def test_a_list_in_a_coding_that_cannot_be_undone_is_refused_with_its_cause(
    stack, gateways, say, coding, body
):
    answers = []
    sent = response(body, "application/json", "200 OK", f"content-encoding: {coding}")
    asked, refused = recorded(stack, gateways["remove"], lambda: answers.append(say(sent, LIST)))

    assert (502, -32603, 7) == (answers[0].status, answers[0].error["code"], ids(answers[0].body))
    assert ("coding", asked["decision_id"]) == (refused["cause"], refused["decision_id"])


def test_a_few_bytes_that_stand_for_many_are_refused_at_the_limit(stack, gateways, say):
    bomb = gzip.compress(b" " * 64 * 1024 * 1024)
    sent = response(bomb, "application/json", "200 OK", "content-encoding: gzip")
    _, refused = recorded(stack, gateways["remove"], lambda: say(sent, LIST))

    assert "too_large" == refused["cause"]


def test_the_answer_to_a_call_keeps_the_coding_that_the_client_asked_for(say):
    body = gzip.compress(RESULT)
    answer = say(response(body, "application/json", "200 OK", "content-encoding: gzip"))

    assert ("gzip", body) == (answer.headers["content-encoding"], answer.body)


def test_in_a_session_a_redirect_is_refused_as_well(say):
    answer = say(
        response(b"", "text/html", "302 Found", "mcp-session-id: s", "location: /"),
        legacy("tools/call", {"name": "echo"}),
        change=LEGACY_HEADERS,
    )

    assert (502, 1) == (answer.status, ids(answer.body))

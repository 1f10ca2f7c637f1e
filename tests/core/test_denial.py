"""What a denied client gets: one table for all reasons, and challenges that clients of any make can read."""

import ast
import inspect
import json
import re

import pytest

from authz.core.decision import Decision
from authz.core.denial import metadata_url, render_denial, resource_url
from authz.core.identity import claims, jws, token
from authz.core.identity import jwks as keys
from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import TABLE, Group, Reason
from tests.support.core import post, principal, refusal, server

REQUEST = post({}, scheme="https", host="mcp.example")
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
DENIALS = [reason for reason in Reason if reason is not Reason.ALLOWED]
VERSIONS = {"supported": ["2026-07-28"], "requested": "2026-07-28"}
"""What an unsupported version is told besides; here the one that every denial of a test declares."""
KNOWN = "; known are 2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25, 2026-07-28"
HANDSHAKES = ["", "2024-11-05", "2025-03-26", "2025-06-18"]
STEP_UPS = ["2025-11-25", "2026-07-28"]


def parameter(challenge, name):
    """Read a challenge as the Python client does: by a plain pattern over the whole header."""
    found = re.search(rf'{name}=(?:"([^"]+)"|([^\s,]+))', challenge)
    return None if found is None else found[1] or found[2]


def denied(reason, **parts):
    """Answer a denial; gives status, challenge or None, and the error."""
    return told(Decision(reason=reason, request_id=7, item=Item(Kind.TOOL, "echo"), rule="r1", **parts))


def told(decision):
    given = render_denial(decision, server(), REQUEST, "id-1")
    body = json.loads(given.body)

    assert {"jsonrpc": "2.0", "id": 7} == {key: body[key] for key in ("jsonrpc", "id")}
    assert {"content-type": "application/json", "cache-control": "no-store"}.items() <= dict(
        given.headers
    ).items()
    return given.status, dict(given.headers).get("www-authenticate"), body["error"]


@pytest.mark.parametrize("reason", DENIALS)
def test_every_denial_is_answered_as_the_table_says(reason):
    row = TABLE[reason]
    status, challenge, error = denied(reason, denial=DenialStyle.HTTP, version="2026-07-28")

    assert row.status == status
    assert {
        "code": row.code,
        "message": row.text + (KNOWN if reason is Reason.UNSUPPORTED_VERSION else ""),
        "data": {"reason": str(reason), "decision_id": "id-1", "rule": "r1"}
        | (VERSIONS if reason is Reason.UNSUPPORTED_VERSION else {}),
    } == error
    assert (row.group is Group.TOKEN or reason is Reason.MISSING_SCOPE) is (challenge is not None)


@pytest.mark.parametrize(
    ("reason", "parts", "challenge"),
    [
        (Reason.MISSING_TOKEN, {}, f'Bearer resource_metadata="{METADATA}"'),
        (
            Reason.MISSING_TOKEN,
            {"scopes": ("mcp:basic", "x")},
            f'Bearer resource_metadata="{METADATA}", scope="mcp:basic x"',
        ),
        (
            Reason.EXPIRED_TOKEN,
            {},
            (
                f'Bearer error="invalid_token", resource_metadata="{METADATA}", '
                'error_description="the access token expired"'
            ),
        ),
        (
            Reason.MISSING_SCOPE,
            {"scopes": ("files:delete", "files:read"), "version": "2026-07-28"},
            (
                'Bearer error="insufficient_scope", scope="files:delete files:read", '
                f'resource_metadata="{METADATA}"'
            ),
        ),
        (Reason.MISSING_ROLE, {"version": "2026-07-28"}, None),
        (Reason.KEYS_UNAVAILABLE, {}, None),
        (Reason.BAD_JSON, {}, None),
    ],
)
def test_a_challenge_reads_exactly(reason, parts, challenge):
    assert challenge == denied(reason, **parts)[1]


def test_the_challenge_of_a_refused_token_ends_with_its_detail():
    expected = (
        f'Bearer error="invalid_token", resource_metadata="{METADATA}", scope="a b", '
        'error_description="exp is missing"'
    )

    assert expected == told(refusal(Reason.BAD_CLAIMS, "exp is missing", "a", "b"))[1]


@pytest.mark.parametrize("reason", [reason for reason in DENIALS if TABLE[reason].group is Group.TOKEN])
def test_a_client_that_reads_by_pattern_finds_what_was_meant(reason):
    challenge = denied(reason, scopes=("files:read", "files:delete"))[1]

    assert METADATA == parameter(challenge, "resource_metadata")
    assert "files:read files:delete" == parameter(challenge, "scope")
    assert (None if reason is Reason.MISSING_TOKEN else "invalid_token") == parameter(challenge, "error")
    assert "\n" not in challenge
    assert challenge.isascii()


def test_a_client_that_reads_by_pattern_finds_the_scopes_of_a_step_up():
    challenge = denied(Reason.MISSING_SCOPE, scopes=("a", "b"), version="2026-07-28")[1]

    assert ["insufficient_scope", "a b", METADATA] == [
        parameter(challenge, name) for name in ("error", "scope", "resource_metadata")
    ]


def fixed_details():
    """Every text that the token's modules can give as a detail: the literals in their calls."""
    calls = [
        node
        for module in (claims, jws, keys, token)
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Call)
    ]
    parts = [part for call in calls for part in (*call.args, *(word.value for word in call.keywords))]
    literals = {
        part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }
    return sorted(text for text in literals if " " in text)


def test_the_details_are_found():
    assert {"exp is missing", "no authorization header"} <= set(fixed_details())


@pytest.mark.parametrize("text", [*(TABLE[reason].text for reason in DENIALS), *fixed_details()])
def test_no_description_can_be_taken_for_another_parameter(text):
    challenge = told(refusal(Reason.BAD_CLAIMS, text))[1]

    assert challenge.endswith(f', error_description="{text}"')
    assert not re.search(r'scope=|error=|resource_metadata=|["\\\n\r]', text)
    assert text.isascii()


POLICY = [reason for reason in DENIALS if TABLE[reason].group is Group.POLICY]


@pytest.mark.parametrize("version", [*HANDSHAKES, *STEP_UPS])
@pytest.mark.parametrize("reason", POLICY)
@pytest.mark.parametrize("denial", DenialStyle)
def test_a_policy_denial_has_the_status_of_its_style_and_version(denial, reason, version):
    status, challenge, error = denied(reason, denial=denial, version=version, scopes=("a",))
    step_up = reason is Reason.MISSING_SCOPE and version in STEP_UPS
    expected = {DenialStyle.HTTP: 403, DenialStyle.AUTO: 403 if step_up else 200}.get(denial, 200)

    assert expected == status
    assert TABLE[reason].code == error["code"]
    assert (reason is Reason.MISSING_SCOPE and expected == 403) is (challenge is not None)


SESSION = {"mcp-session-id": "s"}
AGENTS = {
    "python-httpx/0.28.1": 200,
    "google-adk/1.30.0 gl-python/3.12.3": 200,
    "Python/3.12 aiohttp/3.9": 200,
    "my-agent (PYTHON)": 200,
    "python-httpx2/2.0.1": 403,
    "my-agent/1 python-httpx2/2.0.1": 403,
    "mcp-python-sdk/2.3.0": 403,
    "mcp-python-sdk/1.30.0": 200,
    "node": 403,
    "": 403,
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (SESSION, 403),
        *(({"user-agent": agent}, 403) for agent in AGENTS),
        *(({**SESSION, "user-agent": agent}, status) for agent, status in AGENTS.items()),
    ],
)
def test_a_step_up_is_not_asked_for_where_the_client_would_end_its_session(headers, expected):
    decision = Decision(reason=Reason.MISSING_SCOPE, version="2025-11-25", scopes=("a",))
    given = render_denial(decision, server(), post({}, headers), "id-1")

    assert expected == given.status
    assert (expected == 403) is ("www-authenticate" in dict(given.headers))


@pytest.mark.parametrize(
    "reason",
    [
        reason
        for reason in DENIALS
        if TABLE[reason].group is not Group.POLICY and reason is not Reason.AMBIGUOUS_URI
    ],
)
@pytest.mark.parametrize("denial", DenialStyle)
def test_the_style_of_policy_denials_touches_no_other(reason, denial):
    seen = denied(reason, denial=denial, hide=True, as_result=True, version="2026-07-28")

    assert TABLE[reason].status == seen[0]


HIDDEN = {
    Kind.TOOL: "Unknown tool: echo",
    Kind.PROMPT: "Unknown prompt: echo",
    Kind.RESOURCE: "Resource not found: echo",
    Kind.TASK: "Task not found: echo",
}


@pytest.mark.parametrize(("kind", "text"), HIDDEN.items())
@pytest.mark.parametrize("reason", POLICY)
@pytest.mark.requirement("protocol.hide")
def test_a_hidden_denial_is_an_unknown_name_and_says_nothing_else(reason, kind, text):
    decision = Decision(
        reason=reason,
        request_id="a",
        item=Item(kind, "echo"),
        rule="r1",
        scopes=("a",),
        hide=True,
        version="2026-07-28",
    )
    given = render_denial(decision, server(), REQUEST, "id-1")

    assert (200, {"jsonrpc": "2.0", "id": "a", "error": {"code": -32602, "message": text}}) == (
        given.status,
        json.loads(given.body),
    )
    assert "www-authenticate" not in dict(given.headers)


@pytest.mark.parametrize("as_result", [True, False])
@pytest.mark.parametrize("denial", DenialStyle)
@pytest.mark.requirement("protocol.hide")
def test_hiding_makes_every_policy_denial_the_same_bytes(denial, as_result):
    answers = {
        render_denial(
            Decision(
                reason=reason,
                item=Item(Kind.TOOL, "x"),
                hide=True,
                rule=str(reason),
                scopes=(str(reason),),
                version="2026-07-28",
                denial=denial,
                as_result=as_result,
            ),
            server(),
            REQUEST,
            f"id-{reason}",
        )
        for reason in POLICY
    }

    assert 1 == len(answers)


def called(reason, **parts):
    """Answer a denied call of a tool; gives status and body."""
    decision = Decision(
        reason=reason, request_id=7, item=Item(Kind.TOOL, "echo"), rule="r1", as_result=True, **parts
    )
    given = render_denial(decision, server(), REQUEST, "id-1")
    return given.status, json.loads(given.body)


@pytest.mark.parametrize("version", [*HANDSHAKES, *STEP_UPS])
@pytest.mark.parametrize("denial", [DenialStyle.AUTO, DenialStyle.RESULT])
@pytest.mark.parametrize("reason", [reason for reason in POLICY if reason is not Reason.MISSING_SCOPE])
@pytest.mark.requirement("protocol.refusal-as-result")
def test_a_denied_call_is_a_tool_result_whose_text_says_what_is_missing(reason, denial, version):
    status, body = called(reason, denial=denial, version=version)
    result = body["result"]

    assert (200, {"jsonrpc", "id", "result"}) == (status, set(body))
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith(f"access denied: {TABLE[reason].text}. ")
    assert {"reason": str(reason), "rule": "r1", "decision_id": "id-1"} == result["_meta"]
    assert ("complete" if version == "2026-07-28" else None) == result.get("resultType")


@pytest.mark.parametrize("version", [*HANDSHAKES, *STEP_UPS])
def test_the_text_of_a_refusal_names_the_scopes_that_the_token_lacks(version):
    caller = Caller.of(principal("a"), "demo")
    body = called(
        Reason.MISSING_SCOPE, denial=DenialStyle.RESULT, version=version, scopes=("a", "b"), caller=caller
    )[1]

    assert (
        "access denied: the access token lacks a scope that this needs (b). "
        in (body["result"]["content"][0]["text"])
    )


@pytest.mark.parametrize(
    ("version", "expected"), [*((v, 200) for v in HANDSHAKES), *((v, 403) for v in STEP_UPS)]
)
def test_auto_prefers_a_step_up_to_a_result(version, expected):
    status, body = called(Reason.MISSING_SCOPE, version=version, scopes=("a",))

    assert (expected, expected == 200) == (status, "result" in body)


@pytest.mark.parametrize("denial", [DenialStyle.AUTO, DenialStyle.RESULT])
def test_what_is_not_answered_by_a_tool_result_keeps_the_error(denial):
    status, _, error = denied(Reason.NO_RULE, denial=denial)

    assert (200, TABLE[Reason.NO_RULE].code) == (status, error["code"])


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_a_hidden_call_is_a_result_that_says_unknown_tool_and_nothing_else(version):
    modern = {"resultType": "complete"} if version == "2026-07-28" else {}

    assert {
        "content": [{"type": "text", "text": "Unknown tool: echo"}],
        "isError": True,
        **modern,
    } == called(Reason.DENIED_BY_RULE, hide=True, version=version)[1]["result"]


STATUSES = [
    (Reason.UNKNOWN_METHOD, {"version": "2026-07-28"}, {}, 404),
    (Reason.UNKNOWN_METHOD, {"version": "2025-11-25"}, {}, 200),
    (Reason.UNKNOWN_METHOD, {"version": ""}, SESSION, 200),
    (Reason.BAD_MESSAGE, {"request_id": 7}, SESSION, 200),
    (Reason.BAD_JSON, {"request_id": 7}, SESSION, 200),
    (Reason.BAD_MESSAGE, {"request_id": 7}, {}, 400),
    (Reason.BAD_MESSAGE, {"request_id": None}, SESSION, 400),
    (Reason.BAD_MESSAGE, {"request_id": 7, "version": "2026-07-28"}, SESSION, 400),
    (Reason.HEADER_MISMATCH, {"request_id": 7}, SESSION, 400),
    (Reason.SESSION_MISMATCH, {"request_id": 7}, SESSION, 404),
]


@pytest.mark.parametrize(("reason", "parts", "headers", "expected"), STATUSES)
@pytest.mark.requirement("protocol.session-survives")
def test_a_flaw_of_a_message_ends_no_legacy_session(reason, parts, headers, expected):
    given = render_denial(Decision(reason=reason, **parts), server(), post({}, headers), "id-1")

    assert expected == given.status


def test_in_a_legacy_session_only_a_lost_session_is_404():
    statuses = {
        reason: render_denial(
            Decision(reason=reason, version="2025-11-25"), server(), post({}, SESSION), "id-1"
        ).status
        for reason in DENIALS
    }

    assert [Reason.SESSION_MISMATCH] == [reason for reason, status in statuses.items() if status == 404]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/.well-known/oauth-authorization-server", 404),
        ("/.well-known/oauth-authorization-server/mcp", 404),
        ("/.well-known/openid-configuration?x=1", 404),
        ("/other", 403),
        ("/mcp/.well-known/openid-configuration", 403),
    ],
)
def test_a_well_known_path_that_is_nobodys_is_not_found(path, expected):
    given = render_denial(Decision(reason=Reason.UNKNOWN_ENDPOINT), None, post({}, path=path), "id-1")

    assert expected == given.status


@pytest.mark.requirement("reason.method_not_allowed")
def test_a_method_of_http_that_is_not_allowed_is_told_which_are():
    given = render_denial(Decision(reason=Reason.METHOD_NOT_ALLOWED), server(), REQUEST, "id-1")

    assert (405, "POST, GET, DELETE") == (given.status, dict(given.headers)["allow"])


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2026-07-28", "a b"), ("2025-11-25", "a b c d"), ("", "a b c d")],
)
def test_a_challenge_repeats_the_tokens_scopes_to_clients_that_would_lose_them(version, expected):
    caller = Caller.of(principal("c", "a", "d", "offline_access"), "demo")
    challenge = denied(
        Reason.MISSING_SCOPE, scopes=("a", "b"), version=version, denial=DenialStyle.HTTP, caller=caller
    )[1]

    assert expected == parameter(challenge, "scope")


@pytest.mark.parametrize(("sent", "told_back"), [("v999.0.0", "v999.0.0"), ("x" * 60_000, "x" * 64)])
def test_an_unsupported_version_is_told_which_are_supported(sent, told_back):
    data = denied(Reason.UNSUPPORTED_VERSION, version=sent)[2]["data"]

    assert (["2026-07-28"], told_back) == (data["supported"], data["requested"])


def test_a_message_own_code_wins_over_the_reasons():
    assert -32602 == denied(Reason.BAD_MESSAGE, code=-32602)[2]["code"]


def test_a_denial_without_rule_or_server_says_neither():
    given = render_denial(Decision(reason=Reason.UNKNOWN_ENDPOINT), None, REQUEST, "id-1")

    assert {
        "jsonrpc": "2.0",
        "id": None,
        "error": {
            "code": -32600,
            "message": "no MCP server answers at this host and path",
            "data": {"reason": "unknown_endpoint", "decision_id": "id-1"},
        },
    } == json.loads(given.body)
    assert (("content-type", "application/json"), ("cache-control", "no-store")) == given.headers


@pytest.mark.parametrize(
    ("resource", "path", "scheme", "host", "metadata"),
    [
        ("https://h.example/mcp", "/mcp", "http", "evil.example", "https://h.example{}/mcp"),
        ("https://h.example/", "/", "https", "h.example", "https://h.example{}"),
        ("https://h.example/a/mcp/", "/a/mcp/", "https", "h.example", "https://h.example{}/a/mcp/"),
        ("http://localhost:10000/mcp", "/mcp", "http", "x", "http://localhost:10000{}/mcp"),
        ("", "/mcp", "http", "h.example:8080", "http://h.example:8080{}/mcp"),
        ("", "/mcp", "https", "[::1]:8443", "https://[::1]:8443{}/mcp"),
        ("", "/mcp", "https", "[2001:db8::7]", "https://[2001:db8::7]{}/mcp"),
        ("", "/mcp", "https", "[::ffff:192.0.2.1]", "https://[::ffff:192.0.2.1]{}/mcp"),
        ("", "/mcp", "https", "[1:2:3:4:5:6:7:8:9]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[::1::2]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[192.0.2.1]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[::]]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[2001:db8::1]", "https://[2001:db8::1]{}/mcp"),
        ("", "/mcp", "https", "[:::]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[1.2.3.4]:80", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[fffff::1]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[1::2::3]", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[::1]:999999", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "[::1%25eth0]", "https://invalid{}/mcp"),
        ("", "/mcp", "javascript", "h.example", "https://h.example{}/mcp"),
        ("", "/mcp", "", "h.example", "https://h.example{}/mcp"),
        ("", "/mcp", "https", 'h.example", error="x', "https://invalid{}/mcp"),
        ("", "/mcp", "https", "h.example/evil", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "user@h.example", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "h.example\r\nx: y", "https://invalid{}/mcp"),
        ("", "/mcp", "https", "h.example\n", "https://invalid{}/mcp"),
    ],
)
def test_the_metadata_url_follows_the_resource_and_no_header_can_break_out_of_it(
    resource, path, scheme, host, metadata
):
    target = server(resource=resource, path=path)

    assert metadata.format("/.well-known/oauth-protected-resource") == metadata_url(target, scheme, host)


def test_a_fixed_resource_is_the_one_named_whatever_the_host():
    assert "https://mcp.example/mcp" == resource_url(server(), "http", "evil.example")

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
from authz.core.mcp.item import Item, Kind
from authz.core.policy.rule import DenialStyle
from authz.core.reasons import TABLE, Group, Reason
from tests.support.core import post, refusal, server

REQUEST = post({}, scheme="https", host="mcp.example")
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
DENIALS = [reason for reason in Reason if reason is not Reason.ALLOWED]
VERSIONS = {"supported": ["2026-07-28"], "requested": "2026-07-28"}
"""What an unsupported version is told besides; here the one that every denial of a test declares."""
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
        "message": row.text,
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
    expected = {DenialStyle.HTTP: 403, DenialStyle.JSONRPC: 200, DenialStyle.AUTO: 403 if step_up else 200}[
        denial
    ]

    assert expected == status
    assert TABLE[reason].code == error["code"]
    assert (reason is Reason.MISSING_SCOPE and expected == 403) is (challenge is not None)


SESSION, HTTPX = {"mcp-session-id": "s"}, {"user-agent": "python-httpx/0.28.1"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({**SESSION, **HTTPX}, 200),
        (SESSION, 403),
        (HTTPX, 403),
        ({**SESSION, "user-agent": "python-httpx2/1.0"}, 403),
        ({**SESSION, "user-agent": "node"}, 403),
    ],
)
def test_a_step_up_is_not_asked_for_where_the_client_would_end_its_session(headers, expected):
    decision = Decision(reason=Reason.MISSING_SCOPE, version="2025-11-25", scopes=("a",))
    given = render_denial(decision, server(), post({}, headers), "id-1")

    assert expected == given.status
    assert (expected == 403) is ("www-authenticate" in dict(given.headers))


@pytest.mark.parametrize("reason", [reason for reason in DENIALS if TABLE[reason].group is not Group.POLICY])
@pytest.mark.parametrize("denial", DenialStyle)
def test_the_style_of_policy_denials_touches_no_other(reason, denial):
    assert TABLE[reason].status == denied(reason, denial=denial, hide=True)[0]


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


def test_hiding_makes_every_policy_denial_the_same_bytes():
    answers = {
        render_denial(
            Decision(
                reason=reason, item=Item(Kind.TOOL, "x"), hide=True, rule=str(reason), version="2026-07-28"
            ),
            server(),
            REQUEST,
            f"id-{reason}",
        )
        for reason in POLICY
    }

    assert 1 == len(answers)


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

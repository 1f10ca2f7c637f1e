"""Attacks on the call itself, sent through a real Envoy: what is hidden called by its name, calls without a token, headers
that say something else, garbage, and requests to the service of which Envoy kept a part.

That nothing of a refused request arrived is shown by the MCP server's own log (see `running.arrived`).
"""

import json
import random

import grpc
import pytest
from envoy.service.auth.v3 import external_auth_pb2, external_auth_pb2_grpc

from authz.core.mcp.methods import METHODS, Era
from authz.demo.issuer.tokens import BAD_TOKENS
from tests.support.running import TOOLS, another_gateway, arrived, recorded, socket_of
from tests.support.waiting import DEADLINE
from tests.support.wire import LEGACY_HEADERS, MODERN, ask, call, headers, legacy, message

pytestmark = pytest.mark.envoy

BODY = call("system_status")

ARGUMENTS = [
    {},
    {"message": "hi"},
    {"path": "/inbox/"},
    {"filename": "/inbox/monday.txt"},
    {"filename": "/inbox/../readme.txt"},
]


@pytest.mark.parametrize(
    "fields", [{}, {"scope": "files:read"}, {"roles": ["admin"]}, {"scope": "files:delete"}], ids=str
)
def test_a_tool_that_is_hidden_is_denied_by_name_with_any_arguments_in_both_eras(stack, port, fields):
    """CVE-2026-46519, gh-aw issue 25105: lists were trimmed, and calls went through."""
    token, reasons = stack.token(**fields), set()
    hidden = set(TOOLS) - set(ask(port, token, message("tools/list")).tools)

    def attack():
        for tool in hidden:
            for arguments in ARGUMENTS:
                params = {"name": tool, "arguments": arguments}
                reasons.add(ask(port, token, message("tools/call", params)).reason)
                reasons.add(ask(port, token, legacy("tools/call", params), change=LEGACY_HEADERS).reason)

    assert hidden
    assert [] == arrived(stack, attack)
    assert reasons <= {"no_rule", "missing_scope", "missing_role", "args_not_allowed"}


def test_no_method_of_either_era_passes_without_a_token(stack, port):
    """GHSA-g53w-w6mj-hrpp (Kuadrant): one header skipped the token."""
    answers = []

    def attack():
        for method, row in METHODS.items():
            for era, body, change in [
                (Era.LEGACY, legacy(method, {"name": "echo"}), LEGACY_HEADERS),
                (Era.MODERN, message(method, {"name": "echo"}), {}),
            ]:
                if era in row.eras:
                    answers.append(ask(port, None, body, change=change))
        answers.extend(ask(port, None, b"", start=f"{verb} /mcp HTTP/1.1") for verb in ("GET", "DELETE"))

    assert [] == arrived(stack, attack)
    assert {(401, "missing_token")} == {(answer.status, answer.reason) for answer in answers}
    assert len(answers) > len(METHODS)


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_nothing_arrives_that_was_sent_with_a_bad_token(stack, port, kind):
    """Audience and issuer confusion, algorithm confusion, forged, expired, unsigned."""
    answers = []

    assert [] == arrived(stack, lambda: answers.append(ask(port, stack.bad_token(kind), BODY)))
    assert 401 == answers[0].status


def _meta(**changes):
    """A tools/call of 2026-07-28 with other `_meta`; None leaves a member out."""
    params = json.loads(BODY)["params"]
    meta = {
        **params["_meta"],
        **{f"io.modelcontextprotocol/{name}": value for name, value in changes.items()},
    }
    kept = {name: value for name, value in meta.items() if value is not None}
    return json.dumps({**json.loads(BODY), "params": {**params, "_meta": kept}}).encode()


LIES = {"mcp-name": "echo"}
NEWER = "2099-01-01"
NEWER_BODY = _meta(protocolVersion=NEWER)
FLAWS = {
    # what the version's own servers check first wins
    "no version in the body, and a lie": (-32602, _meta(protocolVersion=None), LIES),
    "no capabilities, and a lie": (-32602, _meta(clientCapabilities=None), LIES),
    "no _meta under an unknown version": (
        -32022,
        legacy("tools/call", {"name": "echo"}),
        {"mcp-protocol-version": "1999-01-01"},
    ),
    "another method": (-32020, BODY, {"mcp-method": "tools/list"}),
    "another name": (-32020, BODY, LIES),
    "another version": (-32020, BODY, {"mcp-protocol-version": "2025-11-25"}),
    "no method": (-32020, BODY, {"mcp-method": None}),
    "no name": (-32020, BODY, {"mcp-name": None}),
    "no version": (-32020, BODY, {"mcp-protocol-version": None}),
    "name in broken base64": (-32020, BODY, {"mcp-name": "=?base64?c3lzdGVt?"}),
    "name in base64 of another spelling": (-32020, BODY, {"mcp-name": "=?base64?c3lzdGVtX3N0YXR1cw?="}),
    "name twice": (-32020, BODY, {"mcp-name": "system_status, system_status"}),
    "unknown version, and a lie": (-32020, NEWER_BODY, {"mcp-protocol-version": NEWER, **LIES}),
    "unknown version": (-32022, NEWER_BODY, {"mcp-protocol-version": NEWER}),
    "unknown version and method": (
        -32022,
        NEWER_BODY.replace(b"tools/call", b"vendor/x"),
        {"mcp-protocol-version": NEWER, "mcp-method": "vendor/x"},
    ),
    "batch of 2025-03-26, which had them": (
        -32600,
        b"[" + legacy("ping") + b"]",
        {**LEGACY_HEADERS, "mcp-protocol-version": "2025-03-26"},
    ),
    "id of null": (-32600, BODY.replace(b'"id": 1', b'"id": null'), {}),
}


@pytest.mark.parametrize(("code", "body", "change"), FLAWS.values(), ids=FLAWS.keys())
@pytest.mark.requirement("protocol.modern-order")
def test_a_flaw_in_headers_or_version_is_400_with_its_own_code_and_nothing_arrives(
    stack, port, admin, code, body, change
):
    """SEP-2243, SEP-2575."""
    answers, length = [], {"content-length": str(len(body))}
    seen = arrived(
        stack, lambda: answers.append(ask(port, admin, BODY, change={**length, **change}, sent=body))
    )

    assert ([], 400, code) == (seen, answers[0].status, answers[0].error["code"])
    if code == -32022:
        data = answers[0].error["data"]
        assert ([MODERN], change["mcp-protocol-version"]) == (data["supported"], data["requested"])


@pytest.mark.parametrize(
    "method", ["vendor/x", "tools/Call", "rpc.discover", "notifications/made_up", "ping"]
)
@pytest.mark.requirement("protocol.unknown-method")
def test_a_method_that_the_era_does_not_know_is_404_with_the_requests_id(stack, port, admin, method):
    answers = []

    assert [] == arrived(stack, lambda: answers.append(ask(port, admin, message(method, request_id="a"))))
    assert (404, -32601, "a") == (
        answers[0].status,
        answers[0].error["code"],
        json.loads(answers[0].body)["id"],
    )


@pytest.mark.parametrize("verb", ["GET", "DELETE"])
def test_a_stream_request_of_an_unknown_version_is_400(stack, port, admin, verb):
    answers, change = [], {"content-type": None, "mcp-protocol-version": "1.0"}

    assert [] == arrived(
        stack,
        lambda: answers.append(ask(port, admin, b"", start=f"{verb} /mcp HTTP/1.1", change=change)),
    )
    assert (400, "unsupported_version") == (answers[0].status, answers[0].reason)


def _garbage():
    """Bodies that are no message, the same in every run."""
    chance = random.Random(1)
    for size in (1, 2, 3, 10, 100, 1000, 10_000):
        yield chance.randbytes(size)
        cut = bytearray(BODY)
        for _ in range(3):
            cut[chance.randrange(len(cut))] = chance.randrange(128, 256)
        yield bytes(cut)
        yield BODY[: size % len(BODY)]
    yield from (
        b"[" * 50_000,
        b"{" * 50_000,
        b'{"a":' * 20_000,
        b"\0" * 100,
        b'"' + b"\\u0000" * 9_000 + b'"',
    )


def test_no_garbage_arrives_and_after_it_the_next_request_is_served(stack, port, admin):
    """CVE-2025-53365, CVE-2025-53366 (MCP Python SDK), Authorino #651: one bad message ended the process."""
    statuses = set()

    def attack():
        for body in _garbage():
            change = {"content-length": str(len(body))}
            statuses.add(ask(port, admin, BODY, change=change, sent=body).status)

    assert [] == arrived(stack, attack)
    assert {400} == statuses


@pytest.fixture(scope="module")
def channel(stack):
    """To the service itself, as Envoy has it."""
    with grpc.insecure_channel(f"unix:{socket_of(stack.gateways['native'])}") as opened:
        yield opened


def _check(port, token, **changes):
    """The Check that Envoy sends for the good call."""
    message_ = external_auth_pb2.CheckRequest()
    http = message_.attributes.request.http
    http.method, http.scheme, http.path, http.host = "POST", "http", "/mcp", f"localhost:{port}"
    http.headers.update(headers(port, token, BODY) | changes.pop("headers", {}))
    http.raw_body = BODY
    for name, value in changes.items():
        setattr(http, name, value)
    return message_


PARTS = {
    "part, as Envoy says": {"headers": {"x-envoy-auth-partial-body": "true"}},
    "part, as the length says": {"raw_body": BODY[:-1]},
    "part, both say": {
        "raw_body": BODY[: len(BODY) // 2],
        "headers": {"x-envoy-auth-partial-body": "true", "content-length": str(len(BODY) // 2)},
    },
    "text that Envoy repaired": {"body": BODY.decode(), "raw_body": b""},
    "text beside the bytes": {"body": "{}"},
    "nothing": {"raw_body": b""},
}


def test_the_whole_body_is_served(stack, port, admin, channel):
    stub = external_auth_pb2_grpc.AuthorizationStub(channel)

    assert 0 == stub.Check(_check(port, admin), timeout=DEADLINE).status.code


@pytest.mark.parametrize("changes", PARTS.values(), ids=PARTS.keys())
def test_on_a_part_of_a_body_no_rule_is_asked(stack, port, admin, channel, changes):
    """CVE-2026-65838, GHSA-8qqm-fp2q-v734 (Skipper): an Envoy that hands over parts is not enough to be fooled."""
    stub, gateway, answers = external_auth_pb2_grpc.AuthorizationStub(channel), stack.gateways["native"], []
    asked = _check(port, admin, **{**changes, "headers": dict(changes.get("headers", {}))})
    (record,) = recorded(stack, gateway, lambda: answers.append(stub.Check(asked, timeout=DEADLINE)))

    assert ("partial_body", "") == (record["reason"], record.get("rule", ""))
    assert 400 == answers[0].denied_response.status.code


@pytest.mark.parametrize("garbage", [b"\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x01", b""])
@pytest.mark.requirement("reason.internal", "security.unknown-denies")
def test_bytes_that_are_no_check_are_denied_and_recorded_and_harm_nothing_else(
    stack, port, admin, channel, garbage
):
    """CVE-2023-27488, CVE-2024-23324 (Envoy): what cannot be read is a no."""
    check = channel.unary_unary(
        "/envoy.service.auth.v3.Authorization/Check",
        response_deserializer=external_auth_pb2.CheckResponse.FromString,
    )
    answers = []
    gateway = stack.gateways["native"]
    (record,) = recorded(stack, gateway, lambda: answers.append(check(garbage, timeout=DEADLINE)))

    assert ("deny", "internal" if garbage else "unknown_endpoint") == (record["decision"], record["reason"])
    assert (7, False) == (answers[0].status.code, answers[0].HasField("ok_response"))
    assert 200 == ask(port, admin, BODY).status


@pytest.fixture(scope="module")
def hiding(stack):
    """A gateway that hides what it denies, and has a rule that would deny in another manner."""
    gateway = another_gateway(
        stack,
        "hiding",
        edit=lambda text: text.replace('origins: ["*"]', 'origins: ["*"]\n    hide: true').replace(
            "- name: deleters", "- name: deleters\n        denial: http"
        ),
    )
    gateway.start()
    return gateway.ports.envoy


@pytest.mark.parametrize("era", ["2025-06-18", "2025-11-25", MODERN])
@pytest.mark.requirement("protocol.hide")
def test_a_hidden_tool_is_denied_as_one_that_does_not_exist_to_the_byte(stack, hiding, era):
    """Lacking a role, lacking a scope, wrong arguments, no such tool: one answer but for the name that was asked for."""
    seen, token = set(), stack.token(scope="files:delete", roles=["admin"])
    denied = {"list_files": token, "delete_file": token, "system_status": stack.token(), "made_up": token}

    def attack():
        for tool, sender in denied.items():
            params = {"name": tool, "arguments": {"filename": "/etc/passwd"}}
            if era == MODERN:
                answer = ask(hiding, sender, message("tools/call", params))
            else:
                change = {**LEGACY_HEADERS, "mcp-protocol-version": era}
                answer = ask(hiding, sender, legacy("tools/call", params), change=change)
            fields = {
                name: value
                for name, value in answer.headers.items()
                if name not in ("date", "content-length")
            }
            seen.add((answer.status, tuple(fields.items()), answer.body.replace(tool.encode(), b"NAME")))

    assert [] == arrived(stack, attack, port=hiding)
    ((status, fields, body),) = seen
    assert 200 == status
    assert "www-authenticate" not in dict(fields)
    modern = {"resultType": "complete"} if era == MODERN else {}
    content = [{"type": "text", "text": "Unknown tool: NAME"}]
    assert {"content": content, "isError": True, **modern} == json.loads(body)["result"]

"""A Check whose token only its issuer can judge: the question goes to a real server, and its answer decides."""

import asyncio
import contextlib
import dataclasses
import io
import json

import pytest
from envoy.service.auth.v3 import external_auth_pb2 as auth_pb

from authz.config.load import load
from authz.edge.service import Service
from authz.edge.telemetry.audit_log import AuditLog
from tests.support import core
from tests.support.introspection import CLIENT, SECRET, AuthorizationServer, serving
from tests.support.policy_files import NATIVE
from tests.support.rpc import CallHere
from tests.support.waiting import DEADLINE

LINE = "    audiences: [https://mcp.example/mcp]\n"


def check(token, name="echo"):
    message = auth_pb.CheckRequest()
    http = message.attributes.request.http
    http.method, http.scheme, http.host, http.path = "POST", "https", "mcp.example", "/mcp"
    http.raw_body = json.dumps(core.message("tools/call", {"name": name, "arguments": {}})).encode()
    http.headers.update({"authorization": f"Bearer {token}", "content-type": "application/json"})
    return message.SerializeToString()


@contextlib.asynccontextmanager
async def guarded(folder, seconds=DEADLINE, **changes):
    """Serve an authorization server and a service that asks it; gives the server, a way to ask, and the records."""
    async with serving(AuthorizationServer(**changes)) as issuer:
        (folder / "secret").write_text(SECRET)
        section = f"{{endpoint: {issuer.url}, client_id: {CLIENT}, client_secret_file: secret}}"
        text = NATIVE.replace(LINE, f"{LINE}    introspection: {section}\n")
        (folder / "policy.yaml").write_text(text)
        settings = load(str(folder / "policy.yaml"), environment={})
        stream = io.BytesIO()
        audit = AuditLog(stream)
        service = Service(dataclasses.replace(settings, check_seconds=seconds), audit)
        checker = service.checker()

        async def ask(token):
            answer = auth_pb.CheckResponse.FromString(await checker.check(check(token), CallHere()))
            return "allowed" if not answer.status.code else answer.denied_response.status.code

        try:
            yield issuer, ask, service
        finally:
            await service.close()
            audit.close()
            issuer.records = stream.getvalue().decode()


def run(story):
    return asyncio.run(asyncio.wait_for(story(), DEADLINE))


def test_a_token_that_its_issuer_calls_active_is_a_caller_and_is_asked_about_once(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, service):
            token = issuer.issue("opaque-token-4711")
            answers = [await ask(token) for _ in range(3)]
            text = service.metrics.render().decode()
        return answers, issuer, text

    answers, issuer, metrics = run(story)

    assert ["allowed"] * 3 == answers
    assert ["opaque-token-4711"] == issuer.asked
    assert 'mcp_authz_introspections_total{issuer="https://issuer.example/",outcome="active"} 1.0' in metrics
    records = [json.loads(line) for line in issuer.records.splitlines()]
    assert {("alice", "cli")} == {(record["sub"], record["client"]) for record in records}
    assert "opaque-token-4711" not in issuer.records + metrics


@pytest.mark.requirement("reason.inactive_token")
def test_a_token_that_is_not_active_is_refused_with_401_and_one_for_another_audience_too(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, _):
            other = issuer.issue("opaque-2", aud="another")
            answers = [await ask("unknown-token"), await ask(other)]
        return answers, [json.loads(line)["reason"] for line in issuer.records.splitlines()]

    assert ([401, 401], ["inactive_token", "wrong_audience"]) == run(story)


@pytest.mark.requirement("reason.keys_unavailable")
def test_an_issuer_that_fails_or_says_nothing_in_time_is_503_and_never_401(tmp_path):
    async def story():
        async with guarded(tmp_path, status=500) as (issuer, ask, service):
            token = issuer.issue("opaque-3")
            failed = await ask(token)
            service.settings = dataclasses.replace(service.settings, check_seconds=0.05)
            issuer.status = 200
            issuer.gate.clear()
            slow = await ask(token)
            issuer.gate.set()
            service.settings = dataclasses.replace(service.settings, check_seconds=DEADLINE)
            later = await ask(token)
        return (failed, slow, later), [json.loads(line)["reason"] for line in issuer.records.splitlines()]

    answers, reasons = run(story)
    assert (503, 503, "allowed") == answers
    assert ["keys_unavailable", "keys_unavailable", "allowed"] == reasons


def test_a_reload_that_changes_how_an_issuer_is_asked_asks_again(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, service):
            token = issuer.issue("opaque-4")
            first = await ask(token)
            await service.apply(dataclasses.replace(service.settings, digest="same"))
            kept = list(issuer.asked)
            changed = {
                name: dataclasses.replace(how, cache_seconds=1)
                for name, how in service.settings.introspections.items()
            }
            await service.apply(dataclasses.replace(service.settings, introspections=changed))
            return first, kept, await ask(token), issuer.asked

    assert ("allowed", ["opaque-4"], "allowed", ["opaque-4"] * 2) == run(story)

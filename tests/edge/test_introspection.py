"""A Check whose token only its issuer can judge: the question goes to a real server, and its answer decides."""

import asyncio
import contextlib
import dataclasses
import json

import pytest

from tests.support.asking_service import AskingService
from tests.support.introspection import CLIENT, SECRET, AuthorizationServer, serving
from tests.support.policy_files import NATIVE
from tests.support.waiting import DEADLINE

LINE = "    audiences: [https://mcp.example/mcp]\n"


@contextlib.asynccontextmanager
async def guarded(folder, **changes):
    """Serve an authorization server and a service that asks it; gives the server, a way to ask, and the service."""
    async with serving(AuthorizationServer(**changes)) as issuer:
        (folder / "secret").write_text(SECRET)
        section = f"{{endpoint: {issuer.url}, client_id: {CLIENT}, client_secret_file: secret}}"
        text = NATIVE.replace(LINE, f"{LINE}    introspection: {section}\n")
        (folder / "policy.yaml").write_text(text)
        asking = AskingService(folder / "policy.yaml")
        try:
            yield issuer, asking.status, asking
        finally:
            issuer.records = await asking.close()


def run(story):
    return asyncio.run(asyncio.wait_for(story(), DEADLINE))


def test_a_token_that_its_issuer_calls_active_is_a_caller_and_is_asked_about_once(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, asking):
            token = issuer.issue("opaque-token-4711")
            answers = [await ask(token) for _ in range(3)]
            text = asking.metrics()
        return answers, issuer, text

    answers, issuer, metrics = run(story)

    assert [200] * 3 == answers
    assert ["opaque-token-4711"] == issuer.asked
    assert 'mcp_authz_introspections_total{issuer="https://issuer.example/",outcome="active"} 1.0' in metrics
    assert {("alice", "cli")} == {(record["sub"], record["client"]) for record in issuer.records}
    assert "opaque-token-4711" not in json.dumps(issuer.records) + metrics


@pytest.mark.requirement("reason.inactive_token")
def test_a_token_that_is_not_active_is_refused_with_401_and_one_for_another_audience_too(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, _):
            other = issuer.issue("opaque-2", aud="another")
            answers = [await ask("unknown-token"), await ask(other)]
        return answers, [record["reason"] for record in issuer.records]

    assert ([401, 401], ["inactive_token", "wrong_audience"]) == run(story)


@pytest.mark.requirement("reason.keys_unavailable")
def test_an_issuer_that_fails_or_says_nothing_in_time_is_503_and_never_401(tmp_path):
    async def story():
        async with guarded(tmp_path, status=500) as (issuer, ask, asking):
            service, token = asking.service, issuer.issue("opaque-3")
            failed = await ask(token)
            service.settings = dataclasses.replace(service.settings, check_seconds=0.05)
            issuer.status = 200
            issuer.gate.clear()
            slow = await ask(token)
            issuer.gate.set()
            service.settings = dataclasses.replace(service.settings, check_seconds=DEADLINE)
            later = await ask(token)
        return (failed, slow, later), [record["reason"] for record in issuer.records]

    answers, reasons = run(story)
    assert (503, 503, 200) == answers
    assert ["keys_unavailable", "keys_unavailable", "allowed"] == reasons


def test_a_reload_that_changes_how_an_issuer_is_asked_asks_again(tmp_path):
    async def story():
        async with guarded(tmp_path) as (issuer, ask, asking):
            token = issuer.issue("opaque-4")
            first = await ask(token)
            await asking.service.apply(dataclasses.replace(asking.service.settings, digest="same"))
            kept = list(issuer.asked)
            await asking.forget()
            return first, kept, await ask(token), issuer.asked

    assert (200, ["opaque-4"], 200, ["opaque-4"] * 2) == run(story)

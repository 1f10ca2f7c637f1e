"""The story on every file of envoy/, and on the filters alone in somebody else's bootstrap, behind a real Envoy.

Whole on the file with TLS; `mcp-authz demo` tells it without. On the others one form of the policy, and without what
depends on the service alone, whatever Envoy is told: keys that rotate, a policy that is edited, an issuer that is out.
"""

import asyncio
import contextlib
import dataclasses
import ssl

import certifi
import httpcore2
import pytest

from authz.demo.client import ERAS, session
from authz.demo.client import call as sdk_call
from authz.demo.scenarios.changes import service_outage
from authz.demo.scenarios.locked import tool_lock
from authz.demo.scenarios.login import login
from authz.demo.scenarios.requests import alone, bad_tokens, bodies, calls, lists, near_misses, without_token
from authz.demo.scenarios.result import ALL
from authz.demo.scenarios.run import SCENARIOS
from authz.demo.stack import Stack
from authz.render.bootstrap import bootstrap
from authz.render.options import Rate, RenderOptions
from tests.support.chains import BOOTSTRAPS, EXAMPLES_DIR, NATIVE, SHADOW, SIDECAR
from tests.support.foreign_envoy import pasted
from tests.support.variants import secured, variants
from tests.support.waiting import eventually
from tests.support.wire import ask, call, message

pytestmark = pytest.mark.envoy

EXAMPLES = {
    **{name: (EXAMPLES_DIR / name).read_text("utf-8") for name in BOOTSTRAPS},
    "filters.yaml in a foreign bootstrap": pasted((EXAMPLES_DIR / "filters.yaml").read_text("utf-8")),
}


@pytest.fixture(scope="module")
def parts():
    """An issuer and an MCP server of this module's own: the story rotates keys and stops the issuer."""
    with Stack(forms=()) as stack:
        yield stack


@contextlib.contextmanager
def gateways(parts, name, example, security=None, forms=("native", "agentgateway")):
    """Run forms of the policy behind an example; gives the stack as the story sees it."""
    described = {form: variants(parts, name, example, security)[form] for form in forms}
    try:
        for gateway in described.values():
            gateway.start()
        yield dataclasses.replace(parts, gateways=dict(described))
    finally:
        for gateway in described.values():
            parts.supervisor.stop(gateway.envoy_name)
            parts.supervisor.stop(gateway.service_name)


async def _told(*chapters):
    return [row for chapter in chapters async for row in chapter]


def _failed(rows):
    return [row for row in rows if not row.held]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "mtls.yaml"])
def test_what_envoy_has_a_part_in_holds_on_every_example(parts, name):
    chapters = (alone, without_token, login, bad_tokens, lists, near_misses, calls, bodies, service_outage)
    called = name.partition(".")[0].replace(" ", "-")
    with gateways(parts, called, EXAMPLES[name], forms=["native"]) as stack:
        rows = asyncio.run(_told(*(chapter(stack) for chapter in chapters)))

    assert (True, []) == (40 < len(rows), _failed(rows))


def test_the_whole_story_holds_with_tls_to_clients_service_and_server(parts, tmp_path, monkeypatch):
    with secured(parts, tmp_path) as security:
        trust = ssl.create_default_context(cafile=security.authority.cert)
        monkeypatch.setattr(certifi, "where", lambda: str(security.authority.cert))
        monkeypatch.setattr(httpcore2, "default_ssl_context", lambda **_: trust)
        # `lock` runs as a program of its own, which knows nothing of the authority that this process trusts.
        chapters = [chapter for chapter in SCENARIOS if chapter is not tool_lock]
        with gateways(parts, "mtls", EXAMPLES["mtls.yaml"], security) as stack:
            rows = asyncio.run(_told(*(chapter(stack) for chapter in chapters)))

    assert (True, []) == (50 < len(rows), _failed(rows))


def test_envoys_own_mcp_filter_in_front_hinders_no_client_and_lets_no_bad_body_pass(parts):
    with gateways(parts, "own-filter", bootstrap(NATIVE)) as stack:
        of_clients = asyncio.run(_told(*(chapter(stack) for chapter in (without_token, login, lists, calls))))
        refused = asyncio.run(_told(bodies(stack)))

    *answers, arrived = refused
    assert (True, []) == (20 < len(of_clients), _failed(of_clients))
    assert [] == [row for row in answers if not (row.held or row.seen.startswith("4"))]
    assert arrived.held


def _optional(**options):
    return bootstrap(dataclasses.replace(SIDECAR, options=RenderOptions(**options)))


async def _called_by_the_sdk(url, token, era):
    """Call echo three times and another tool once, in one session."""
    async with session(url, token, era) as client:
        seen = [await sdk_call(client, "echo", {"message": "hi"}) for _ in range(3)]
        return [*seen, await sdk_call(client, "get_user_info", {})]


def test_the_rate_limit_counts_by_what_the_service_says_of_caller_and_tool(parts):
    two = _optional(rate=Rate(calls=2, seconds=3600))
    with gateways(parts, "rate", two, forms=["native"]) as stack:
        gateway = stack.gateways["native"]
        port, alice, bob = gateway.ports.envoy, stack.token(sub="alice"), stack.token(sub="bob")
        asked = [(alice, call("echo")), (alice, call("get_user_info")), (bob, call("echo"))]
        statuses = [[ask(port, token, body).status for _ in range(3)] for token, body in asked]
        listed = [ask(port, alice, message("tools/list")).status for _ in range(3)]
        renewed = ask(port, stack.token(sub="alice"), call("echo")).status
        by_sdk = [asyncio.run(_called_by_the_sdk(gateway.url, stack.token(sub=era), era)) for era in ERAS]

    assert ([[200, 200, 429]] * 3, [200] * 3, 429) == (statuses, listed, renewed)
    assert [["allowed", "allowed", "error -32000", "allowed"]] * 2 == by_sdk


def test_in_shadow_mode_everybody_gets_everything_and_the_audit_log_says_who_would_not(parts):
    with gateways(parts, "shadow", bootstrap(SHADOW), forms=["native"]) as stack:
        gateway = stack.gateways["native"]
        token = stack.token(sub="alice")
        tools = [ask(gateway.ports.envoy, who, message("tools/list")).tools for who in (token, None)]
        status = ask(gateway.ports.envoy, token, call("system_status")).status
        wanted = [("allow", "allowed"), ("deny", "missing_token"), ("deny", "no_rule")]
        assert eventually(lambda: wanted == [(r["decision"], r["reason"]) for r in gateway.records()])

    assert ([ALL, ALL], 200) == (tools, status)

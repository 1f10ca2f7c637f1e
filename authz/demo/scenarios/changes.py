"""Scenarios in which something around the gateway changes: keys, the issuer, the policy file, the service itself."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import jwt

from authz.demo.client import tool_names
from authz.demo.no_tls import NO_TLS
from authz.demo.scenarios.result import ALL, ScenarioRow, get, join, nothing_arrived, outcome, post
from authz.demo.stack import Stack

_PATIENCE_SECONDS, _RETRY_SECONDS = 60.0, 0.1
_RELOAD_SECONDS = 5.0
"""Limit on a reload: the service checks its file once a second, and the machine is busy."""
_STATUS_FOR_ALL = """
      - name: status-for-all
        allow: {tools: [system_status]}
"""


async def rotation(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a new key is accepted and a revoked key is not.

    Each service fetches the keys once here, because it does not know the new key. The second service fetches after the
    old key was revoked, so it also learns that.
    """
    first, second = stack.gateways["native"].url, stack.gateways["agentgateway"].url
    old = {form: stack.token(form) for form in stack.gateways}
    yield ScenarioRow("a token under the issuer's first key", "200, 200", _both(stack, old))
    kid = _kid(old["native"])
    stack.rotate()
    new = {form: stack.token(form) for form in stack.gateways}
    yield ScenarioRow(
        "the issuer signs with a new key: native, first try", "200", outcome(post(first, new["native"]))
    )
    yield ScenarioRow("  ... a token under the old one", "200", outcome(post(first, old["native"])))
    stack.revoke(kid)
    seen = outcome(post(second, new["agentgateway"]))
    yield ScenarioRow("and revokes the old one: agentgateway, new key", "200", seen)
    seen = outcome(post(second, old["agentgateway"]))
    yield ScenarioRow("  ... a token under the revoked one", "401 unknown_key", seen)


def _kid(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def _both(stack: Stack, tokens: dict[str, str]) -> str:
    return join([outcome(post(stack.gateways[form].url, token)) for form, token in tokens.items()])


async def policy_edit(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that an edited policy takes effect, and that a broken one does not."""
    gateway = stack.gateways["native"]
    token, good = stack.token(), gateway.policy.read_text(encoding="utf-8")

    async def listed() -> str:
        return join(await tool_names(gateway.url, token, "legacy"))

    yield ScenarioRow("no scope: tools listed", join(ALL[:2]), await listed())
    began = time.monotonic()
    gateway.policy.write_text(good.rstrip() + _STATUS_FOR_ALL, encoding="utf-8")
    seen = await until(listed, lambda names: "system_status" in names)
    took = time.monotonic() - began
    yield ScenarioRow("policy edited: tools listed", join([*ALL[:2], "system_status"]), seen)
    held = took <= _RELOAD_SECONDS
    bound = f"within {_RELOAD_SECONDS:g} s"
    yield ScenarioRow(
        "  ... by a service that reloaded by itself", bound, bound if held else f"after {took:.1f} s"
    )
    gateway.policy.write_text(good + "    rulez: []\n", encoding="utf-8")
    problem = await until(lambda: _reload_problem(gateway.http), bool)
    yield ScenarioRow(
        "policy broken: the key that /readyz complains of",
        "rulez",
        "rulez" if "rulez" in problem else problem,
    )
    yield ScenarioRow("  ... and the last good one stays", join([*ALL[:2], "system_status"]), await listed())
    gateway.policy.write_text(good, encoding="utf-8")
    yield ScenarioRow(
        "policy restored: tools listed",
        join(ALL[:2]),
        await until(listed, lambda names: "status" not in names),
    )


async def _reload_problem(service: str) -> str:
    return str(get(f"{service}/readyz").get("reload_problem", ""))


async def service_outage(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that no request passes without the service, and that requests pass again when it is back."""
    gateway = stack.gateways["native"]
    token = stack.token(scope="files:read")
    stack.supervisor.stop(gateway.service_name)
    before = len(stack.arrivals())
    yield ScenarioRow("service killed", "503", outcome(post(gateway.url, token)))
    yield nothing_arrived(stack, before)
    stack.supervisor.restart(gateway.service_name)

    async def status() -> str:
        return outcome(post(gateway.url, token))

    # Envoy uses the service again after its next health check.
    await until(status, lambda seen: seen == "200")
    names = await tool_names(gateway.url, token, "legacy")
    yield ScenarioRow("service back: tools listed", join(ALL[:3]), join(names))


async def issuer_outage(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that known keys still verify while the issuer is down."""
    gateway = stack.gateways["native"]
    token, unknown = stack.token(scope="files:read"), stack.bad_token("unknown_kid")
    stack.outage("on")
    try:
        yield ScenarioRow(
            "issuer down, token under an unknown key", "401 unknown_key", outcome(post(gateway.url, unknown))
        )
        yield ScenarioRow(
            "  ... for which keys were fetched in vain",
            "1",
            await until(lambda: _failures(gateway.http), bool),
        )
        names = await tool_names(gateway.url, token, "legacy")
        yield ScenarioRow("issuer down, token under a known key: tools listed", join(ALL[:3]), join(names))
    finally:
        stack.outage("off")


async def _failures(service: str) -> str:
    """Return the number of failed key fetches from the service's metrics; empty for none."""
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS, timeout=_PATIENCE_SECONDS) as client:
        text = (await client.get(f"{service}/metrics")).text
    failed = re.findall(
        r'^mcp_authz_jwks_fetches_total\{.*outcome="failed".*\} ([0-9.]+)$', text, re.MULTILINE
    )
    return f"{sum(map(float, failed)):g}" if failed else ""


async def until(attempt: Callable[[], Awaitable[str]], enough: Callable[[str], Any]) -> str:
    """Return the first answer that is good enough, or the last one when the time is up."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        seen = await attempt()
        if enough(seen) or time.monotonic() > deadline:
            return seen
        await asyncio.sleep(_RETRY_SECONDS)

"""Logging in through the gateway: the official MCP client knows one URL and gets a token by itself."""

import asyncio
import dataclasses
import subprocess
import sys

import httpx
import jwt
import pytest

from authz.demo.client import tool_names
from authz.demo.issuer.app import AUDIENCE
from authz.demo.scenarios.login import BrowserUser, list_tools
from authz.demo.stack import Stack
from tests.support.waiting import DEADLINE

LIMIT = 30.0
"""Seconds after which a test gives up waiting."""


@pytest.fixture(scope="module")
def gateway():
    """Our gateway in front of the MCP server; it takes tokens whose audience is its own URL (RFC 8707)."""
    with Stack(forms=("native",)) as stack:
        started = stack.gateways["native"]
        stack.supervisor.stop(started.service_name)
        stack.supervisor.stop(started.envoy_name)
        own = dataclasses.replace(
            started, name="own", environment={**started.environment, "DEMO_AUDIENCE": started.url}
        )
        own.start()
        yield stack, own


@pytest.mark.envoy
@pytest.mark.parametrize(
    ("hint", "tools"),
    [
        ("demo", ["echo", "get_user_info", "list_files"]),
        ("admin", ["echo", "get_user_info", "list_files", "delete_file", "system_status"]),
    ],
)
def test_the_mcp_sdk_finds_registers_logs_in_and_lists_its_tools_with_nothing_but_the_url(
    gateway, hint, tools
):
    stack, own = gateway
    user = BrowserUser(hint)
    names = asyncio.run(asyncio.wait_for(list_tools(own.url, user), LIMIT))
    asked_for = user.last_request
    claims = jwt.decode(user.tokens.access_token, options={"verify_signature": False})

    assert tools == names
    assert 1 == len(user.pages)
    assert ("S256", own.url) == (asked_for["code_challenge_method"], asked_for["resource"])
    assert stack.issuer == user.registration.issuer
    assert own.url in claims["aud"]
    assert user.registration.client_id == claims["azp"]


@pytest.mark.envoy
def test_a_token_of_the_device_flow_lists_the_tools_of_who_confirmed_it(gateway):
    stack, own = gateway
    ask = ["--issuer", stack.issuer, "--client-id", "demo-native", "--audience", own.url]
    argv = [sys.executable, "-m", "authz", "token", *ask, "--scope", "files:read"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            link = process.stderr.readline().split()[-1]
            httpx.get(f"{link}&answer=approve&roles=admin", trust_env=False, timeout=DEADLINE)
            token, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    tools = asyncio.run(tool_names(own.url, token.strip(), "legacy"))

    assert ["echo", "get_user_info", "list_files", "system_status"] == tools


@pytest.mark.envoy
def test_a_token_for_another_resource_is_refused_by_the_gateway(gateway):
    stack, own = gateway
    token = stack.token(audience=AUDIENCE)
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"authorization": f"Bearer {token}", "accept": "application/json, text/event-stream"}
    response = httpx.post(own.url, json=body, headers=headers, trust_env=False, timeout=DEADLINE)

    assert (401, "wrong_audience") == (response.status_code, response.json()["error"]["data"]["reason"])

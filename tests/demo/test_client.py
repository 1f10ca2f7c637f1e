"""The demo's MCP client: what it says of a call, in both eras."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from mcp import MCPError

from authz.demo import client as module
from authz.demo.client import ERAS, call, session, tool_names
from tests.support.running import shared_stack

pytestmark = pytest.mark.envoy
LIMIT = 60.0
"""Seconds after which a test gives up waiting."""


@pytest.mark.parametrize("era", ERAS)
def test_a_call_is_allowed_or_denied_with_its_reason_or_fails_in_the_tool(pytestconfig, era):
    stack = shared_stack(pytestconfig)
    token = stack.token(scope="files:read")

    async def calls():
        async with session(stack.gateways["native"].url, token, era) as client:
            return [
                await call(client, "list_files", {"path": "/"}),
                await call(client, "list_files", {"path": "/nowhere"}),
                await call(client, "system_status", {}),
            ]

    seen = asyncio.run(asyncio.wait_for(calls(), LIMIT))
    assert ["allowed", "tool error", "no_rule"] == seen


@pytest.mark.parametrize("era", ERAS)
def test_the_names_of_the_list_are_those_of_the_tools_that_the_caller_may_use(pytestconfig, era):
    stack = shared_stack(pytestconfig)
    url, token = stack.gateways["native"].url, stack.token(scope="files:read")

    names = asyncio.run(asyncio.wait_for(tool_names(url, token, era), LIMIT))
    assert ["echo", "get_user_info", "list_files"] == names


LATE = MCPError(code=50300, message="try again later")
LISTED = SimpleNamespace(tools=[SimpleNamespace(name="echo"), SimpleNamespace(name="list_files")])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([LISTED], ["echo", "list_files"]),
        ([LATE, LISTED], ["echo", "list_files"]),
        ([LATE, LATE, LISTED], ["echo", "list_files"]),
        ([LATE, LATE, LATE], ["error 50300"]),
    ],
)
def test_a_list_is_asked_for_again_where_the_answer_is_to_try_later_and_else_the_error_is_shown(
    monkeypatch, answers, expected
):
    left = list(answers)  # in place of a gateway, for none can be had that is late just so often

    async def list_tools():
        answer = left.pop(0)
        if isinstance(answer, MCPError):
            raise answer
        return answer

    @asynccontextmanager
    async def late(*_):
        yield SimpleNamespace(list_tools=list_tools)

    monkeypatch.setattr(module, "session", late)
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.0)

    assert expected == asyncio.run(tool_names("http://localhost/mcp", None, "legacy"))
    assert [] == left

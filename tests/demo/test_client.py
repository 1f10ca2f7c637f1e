"""The official client as the demo uses it. The client itself stands in: a gateway that is late exactly once cannot be had."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from mcp import MCPError

from authz.demo import client

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
    left = list(answers)

    async def list_tools():
        answer = left.pop(0)
        if isinstance(answer, MCPError):
            raise answer
        return answer

    @asynccontextmanager
    async def session(*_):
        yield SimpleNamespace(list_tools=list_tools)

    monkeypatch.setattr(client, "session", session)
    monkeypatch.setattr(client, "_PAUSE_SECONDS", 0.0)

    assert expected == asyncio.run(client.tool_names("http://localhost/mcp", None, "legacy"))
    assert [] == left

"""An agent of pydantic-ai with its toolset for MCP and a scripted function as its model."""

from contextlib import asynccontextmanager
from typing import Any

import agent_stories
import stories
from fastmcp.client.transports import StreamableHttpTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    RetryPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

_ANSWERS = (ToolReturnPart, RetryPromptPart)


def scripted(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Make the calls of the user's message; no language model."""
    last = messages[-1].parts[-1]
    if isinstance(last, _ANSWERS):
        return ModelResponse([TextPart(agent_stories.DONE)])
    calls = agent_stories.asked(str(last.content))
    return ModelResponse(
        [ToolCallPart(name, arguments, f"call-{at}") for at, (name, arguments) in enumerate(calls)]
    )


@asynccontextmanager
async def connect(url: str, _: str, headers: dict[str, str]) -> Any:
    """Connect a server and give its tools to an agent."""
    toolset = MCPToolset(StreamableHttpTransport(url, headers=dict(headers)))
    agent = Agent(FunctionModel(scripted), toolsets=[toolset])

    async def run(message: str) -> list[str]:
        result = await agent.run(message)
        parts = [part for row in result.all_messages() for part in row.parts if isinstance(part, _ANSWERS)]
        return [
            part.model_response() if isinstance(part, RetryPromptPart) else part.model_response_str()
            for part in sorted(parts, key=lambda part: part.tool_call_id)
        ]

    async def names() -> list[str]:
        return [tool.name for tool in await toolset.list_tools()]

    async with agent:
        yield agent_stories.Agent(run, names)


stories.main(connect)

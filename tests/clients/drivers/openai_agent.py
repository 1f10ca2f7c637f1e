"""An agent of openai-agents, whose model is `scripted_openai`."""

from contextlib import asynccontextmanager
from typing import Any

import agent_stories
import stories
from agents import Agent, OpenAIChatCompletionsModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI
from scripted_openai import scripted_openai

set_tracing_disabled(True)


@asynccontextmanager
async def connect(url: str, _: str, headers: dict[str, str]) -> Any:
    """Connect a server and give its tools to an agent."""
    params = {"url": url, "headers": dict(headers), "timeout": stories.PATIENCE}
    with scripted_openai() as scripted:
        model = OpenAIChatCompletionsModel("scripted", AsyncOpenAI(base_url=scripted.url, api_key="none"))
        async with MCPServerStreamableHttp(params, client_session_timeout_seconds=stories.PATIENCE) as server:
            agent = Agent("agent", model=model, mcp_servers=[server])

            async def run(message: str) -> list[str]:
                await Runner.run(agent, message)
                return scripted.read()

            async def names() -> list[str]:
                return [tool.name for tool in await server.list_tools()]

            yield agent_stories.Agent(run, names)


stories.main(connect)

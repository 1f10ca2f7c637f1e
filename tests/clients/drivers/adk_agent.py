"""An agent of google-adk with its toolset for MCP and a scripted model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import agent_stories
import stories
from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool.mcp_toolset import McpToolset, StreamableHTTPConnectionParams
from google.genai import types

_APP, _USER = "stories", "user"


class ScriptedLlm(BaseLlm):
    """Makes the calls of the user's message; no language model."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Answer a conversation."""
        last = llm_request.contents[-1].parts[-1]
        parts = [types.Part(text=agent_stories.DONE)]
        if last.function_response is None:
            calls = agent_stories.asked(last.text)
            parts = [types.Part.from_function_call(name=name, args=arguments) for name, arguments in calls]
        yield LlmResponse(content=types.Content(role="model", parts=parts))


def _text(response: dict[str, Any]) -> str:
    content = response.get("content")
    return content[0]["text"] if content else str(response)


@asynccontextmanager
async def connect(url: str, _: str, headers: dict[str, str]) -> Any:
    """Connect a server and give its tools to an agent."""
    params = StreamableHTTPConnectionParams(url=url, headers=dict(headers), timeout=stories.PATIENCE)
    toolset = McpToolset(connection_params=params)
    agent = LlmAgent(name="agent", model=ScriptedLlm(model="scripted"), tools=[toolset])
    runner = InMemoryRunner(agent=agent, app_name=_APP)

    async def run(message: str) -> list[str]:
        session = await runner.session_service.create_session(app_name=_APP, user_id=_USER)
        said = types.Content(role="user", parts=[types.Part(text=message)])
        read = []
        async for event in runner.run_async(user_id=_USER, session_id=session.id, new_message=said):
            read += [_text(answer.response) for answer in event.get_function_responses()]
        return read

    async def names() -> list[str]:
        return [tool.name for tool in await toolset.get_tools()]

    try:
        yield agent_stories.Agent(run, names)
    finally:
        await runner.close()


stories.main(connect)

"""An agent on LangGraph with the tools of langchain-mcp-adapters and a scripted chat model."""

from contextlib import asynccontextmanager
from typing import Any

import agent_stories
import stories
from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_mcp_adapters.client import MultiServerMCPClient


class ScriptedChatModel(BaseChatModel):
    """Makes the calls of the user's message; no language model."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        """Take any tools."""
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answer = AIMessage(agent_stories.DONE)
        if isinstance(messages[-1], HumanMessage):
            calls = agent_stories.asked(messages[-1].text)
            written = [
                {"name": name, "args": arguments, "id": f"call-{at}"}
                for at, (name, arguments) in enumerate(calls)
            ]
            answer = AIMessage("", tool_calls=written)
        return ChatResult(generations=[ChatGeneration(message=answer)])


@asynccontextmanager
async def connect(url: str, _: str, headers: dict[str, str]) -> Any:
    """Get the tools of a server as its users do, which makes a session for each call."""
    client = MultiServerMCPClient(
        {"server": {"transport": "streamable_http", "url": url, "headers": dict(headers)}}
    )
    tools = await client.get_tools()
    agent = create_agent(ScriptedChatModel(), tools)

    async def run(message: str) -> list[str]:
        messages = (await agent.ainvoke({"messages": [HumanMessage(message)]}))["messages"]
        return [answer.text for answer in messages if isinstance(answer, ToolMessage)]

    async def names() -> list[str]:
        return [tool.name for tool in await client.get_tools()]

    yield agent_stories.Agent(run, names)


stories.main(connect)

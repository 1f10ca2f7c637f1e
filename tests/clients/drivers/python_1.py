"""The Python SDK's client, 1.x, as `stories` drives it."""

from contextlib import asynccontextmanager
from typing import Any

import httpx
import stories
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client


class _Client:
    def __init__(self, session: ClientSession, version: str) -> None:
        self._session = session
        self.version = version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._session.list_tools()).tools]

    async def call(self, calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
        return await stories.together(calls, self._one)

    async def _one(self, name: str, arguments: dict[str, Any]) -> str:
        result = await self._session.call_tool(name, arguments)
        return f"{'refused' if result.isError else 'result'}: {result.content[0].text}"


@asynccontextmanager
async def connect(url: str, _: str, headers: dict[str, str]) -> Any:
    """Connect to a URL."""
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=stories.PATIENCE) as http,
        streamable_http_client(url, http_client=http) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):
        yield _Client(session, str((await session.initialize()).protocolVersion))


stories.main(connect)

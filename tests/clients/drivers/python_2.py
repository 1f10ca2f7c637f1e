"""The Python SDK's client, 2.x, as `stories` drives it; its era is `mode` of the SDK."""

from contextlib import asynccontextmanager
from typing import Any

import httpx2
import stories
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


class Connected:
    """A connected client of the SDK."""

    def __init__(self, client: Client) -> None:
        """Wrap one that is connected."""
        self._client = client
        self.version = client.protocol_version

    async def tools(self) -> list[str]:
        """Give the names of the tools."""
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(self, calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
        """Make calls at the same time."""
        return await stories.together(calls, self._one)

    async def _one(self, name: str, arguments: dict[str, Any]) -> str:
        result = await self._client.call_tool(name, arguments)
        return f"{'refused' if result.is_error else 'result'}: {result.content[0].text}"


@asynccontextmanager
async def connect(url: str, era: str, headers: dict[str, str]) -> Any:
    """Connect to a URL."""
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=stories.PATIENCE) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield Connected(client)


if __name__ == "__main__":
    stories.main(connect)

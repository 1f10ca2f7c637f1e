"""The official MCP client, reduced to what the story asks of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

ERAS = ("legacy", "2026-07-28")
"""Modes of the client: the handshake of 2025 and before, and per-request metadata."""


@asynccontextmanager
async def session(url: str, token: str | None, mode: str) -> AsyncIterator[Client]:
    """Connect to a server with a bearer token, in one era."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, trust_env=False, timeout=20.0) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


async def tool_names(url: str, token: str | None, mode: str) -> list[str]:
    """List the tools' names."""
    async with session(url, token, mode) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool; gives "allowed", or the reason of the denial."""
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        data = error.error.data
        return (
            str(data["reason"])
            if isinstance(data, dict) and "reason" in data
            else f"error {error.error.code}"
        )
    return "tool error" if result.is_error else "allowed"

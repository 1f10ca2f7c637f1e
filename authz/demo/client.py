"""The official MCP client, reduced to what the scenarios need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from authz.demo.no_tls import verification

ERAS = ("legacy", "2026-07-28")
"""Modes of the client: the handshake (2025-11-25 and earlier), and per-request metadata (2026-07-28)."""


@asynccontextmanager
async def session(url: str, token: str | None, mode: str) -> AsyncIterator[Client]:
    """Connect to a server with a bearer token, in one era of the protocol."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(
        headers=headers, trust_env=False, verify=verification(url), timeout=20.0
    ) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode) as client:
            yield client


_TRIES, _PAUSE_SECONDS = 3, 0.5
"""How often a list is asked for: on a busy machine a Check can be late, and its answer is "try again later"."""


async def tool_names(url: str, token: str | None, mode: str) -> list[str]:
    """Return the names of the tools in the server's list; the error in their place if each try ended in one."""
    async with session(url, token, mode) as client:
        seen = ""
        for number in range(_TRIES):
            await asyncio.sleep(_PAUSE_SECONDS if number else 0)
            try:
                return [tool.name for tool in (await client.list_tools()).tools]
            except MCPError as error:
                seen = f"error {error.error.code}"
        return [seen]


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    """Call a tool and return "allowed", or the reason for the denial."""
    try:
        result = await client.call_tool(tool, arguments)
    except MCPError as error:
        return _reason(error.error.data) or f"error {error.error.code}"
    if not result.is_error:
        return "allowed"
    return _reason(result.meta) or "tool error"


def _reason(data: Any) -> str:
    """Return the reason of a denial from the data of an error or the `_meta` of a result, "" if it has none."""
    return str(data.get("reason", "")) if isinstance(data, dict) else ""

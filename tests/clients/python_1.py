"""The Python SDK's client, 1.x, as `test_clients` drives it: `python_1.py URL DENIED`, the token in `TOKEN`."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamable_http_client


async def _told(url: str, denied: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {os.environ['TOKEN']}"}
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False, timeout=20.0) as http,
        streamable_http_client(url, http_client=http) as (reading, writing, _),
        ClientSession(reading, writing) as session,
    ):

        async def echo(words: str) -> str:
            return (await session.call_tool("echo", {"message": words})).content[0].text

        told: dict[str, Any] = {"version": (await session.initialize()).protocolVersion}
        told["tools"] = [tool.name for tool in (await session.list_tools()).tools]
        told["before"] = await echo("before")
        told["denied"] = []
        for tool in denied.split(","):
            try:
                result = await session.call_tool(tool, {"filename": "/elsewhere"})
                told["denied"].append((result.meta or {}).get("reason", "no") if result.isError else "no")
            except McpError as error:
                told["denied"].append((error.error.data or {}).get("reason", f"error {error.error.code}"))
            told["after"] = await echo(f"after {tool}")
        return told


sys.stdout.write(json.dumps(asyncio.run(_told(*sys.argv[1:]))))

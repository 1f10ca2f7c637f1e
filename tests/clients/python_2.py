"""The Python SDK's client, 2.x, as `test_clients` drives it: `python_2.py URL MODE DENIED`, the token in `TOKEN`."""

import asyncio
import json
import os
import sys
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client


async def _told(url: str, mode: str, denied: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {os.environ['TOKEN']}"}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=20.0) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):

        async def echo(words: str) -> str:
            return (await client.call_tool("echo", {"message": words})).content[0].text

        told: dict[str, Any] = {"version": client.protocol_version}
        told["tools"] = [tool.name for tool in (await client.list_tools()).tools]
        told["before"] = await echo("before")
        told["denied"] = []
        for tool in denied.split(","):
            try:
                result = await client.call_tool(tool, {"filename": "/elsewhere"})
                told["denied"].append((result.meta or {}).get("reason", "no") if result.is_error else "no")
            except MCPError as error:
                told["denied"].append((error.error.data or {}).get("reason", f"error {error.error.code}"))
            told["after"] = await echo(f"after {tool}")
        return told


sys.stdout.write(json.dumps(asyncio.run(_told(*sys.argv[1:]))))

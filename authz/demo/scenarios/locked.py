"""The scenario of the tool lock: a tool that changes its description overnight, and what becomes of it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from authz.demo.client import call, session, tool_names
from authz.demo.scenarios.changes import until
from authz.demo.scenarios.result import ALL, ScenarioRow, get, join
from authz.demo.stack import Stack

_TOOL = "list_files"
_SECONDS = 60.0


async def tool_lock(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a tool whose description changed is neither listed nor called until the lock is renewed."""
    gateway = stack.gateways["native"]
    token, good = stack.token(scope="files:read"), gateway.policy.read_text(encoding="utf-8")
    file = stack.supervisor.logs / "tools.lock"
    without = join([name for name in ALL[:3] if name != _TOOL])

    async def listed() -> str:
        return join(await tool_names(gateway.url, token, "legacy"))

    async def digest() -> str:
        # While workers reload one after the other, there is more than one digest.
        digests = str(get(f"{gateway.http}/readyz").get("policy", ""))
        return "" if "," in digests else digests

    await _lock(stack, file)
    before = await digest()
    locked = good.replace("    rules:\n", f"    lock: {{file: {file.name}}}\n    rules:\n")
    gateway.policy.write_text(locked, encoding="utf-8")
    before = await until(digest, lambda seen: seen not in ("", before))
    yield ScenarioRow("tools locked: tools listed", join(ALL[:3]), await listed())
    stack.restart_server("--changed", _TOOL)
    yield ScenarioRow(f"{_TOOL} describes itself otherwise: tools listed", without, await listed())
    async with session(gateway.url, token, "2026-07-28") as client:
        yield ScenarioRow("  ... and its call", "item_changed", await call(client, _TOOL, {}))
    shown = await _lock(stack, file, "--diff")
    changed = f"tools {_TOOL} changed: description changed"
    yield ScenarioRow("  ... lock --diff shows why", changed, changed if changed in shown else shown[-200:])
    await _lock(stack, file)
    await until(digest, lambda seen: seen not in ("", before))
    yield ScenarioRow("  ... and renewing the lock brings it back", join(ALL[:3]), await listed())
    stack.restart_server()
    gateway.policy.write_text(good, encoding="utf-8")
    locked_digest = await digest()
    await until(digest, lambda seen: seen not in ("", locked_digest))
    yield ScenarioRow("policy without a lock: tools listed", join(ALL[:3]), await listed())


async def _lock(stack: Stack, file: Path, *more: str) -> str:
    """Run `mcp-authz lock` for the MCP server, and return what it printed."""
    command = [sys.executable, "-m", "authz", "lock", "--server", stack.upstream, "-o", str(file), *more]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    return done.stdout + done.stderr

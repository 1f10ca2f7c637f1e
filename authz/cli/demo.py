"""`mcp-authz demo`: run the scenarios with real processes on this machine."""

import asyncio
import signal
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.status import Status

from authz.tools.terminal import Style, say, table

if TYPE_CHECKING:
    from authz.demo.scenarios.run import ScenarioRow
    from authz.demo.stack import Stack

_PORT = 10_000
_BROKEN = "NOT"
_IDPS = ("auth0", "keycloak", "entra", "okta", "cognito")
"""The names of `authz.demo.issuer.shapes.SHAPES` that can tell the story; the module needs the demo extra."""


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep running afterwards, and print URLs and tokens.")
    ] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="PORT", help="Envoy's port.", min=1, max=65_534)
    ] = _PORT,
    idp: Annotated[
        str,
        typer.Option("--idp", metavar="NAME", help=f"Whose tokens the issuer imitates: {', '.join(_IDPS)}."),
    ] = _IDPS[0],
) -> None:
    """Run a local issuer, a five-tool MCP server, the service and a real Envoy, and check what the gateway does.

    Prints a table of claims with the expected and the actual result. Everything runs on loopback and ends with the
    command. Exit status: 0 if every row holds, 1 if not.

    Example: mcp-authz demo --idp keycloak
    """
    from authz.demo.ports import preferred_port  # noqa: PLC0415 - needs the demo extra
    from authz.demo.processes import StartFailed  # noqa: PLC0415 - needs the demo extra
    from authz.demo.stack import Stack  # noqa: PLC0415 - as above

    if idp not in _IDPS:
        say(f"--idp: {idp} is none of {', '.join(_IDPS)}", err=True)
        raise typer.Exit(2)
    if port != _PORT and preferred_port(port) != port:
        say(f"port {port} is in use; choose another with --port", err=True)
        raise typer.Exit(1)
    console = Console()
    try:
        with console.status("") as status, ExitStack() as running:
            _progress(status, console, "starting issuer, MCP server, service and Envoy")
            stack = running.enter_context(Stack(preferred_port(port), idp=idp))
            _progress(status, console, "running the scenarios")
            rows = asyncio.run(_rows(stack))
            held = all(row.held for row in rows)
            stack.supervisor.failed |= not held
            status.stop()
            _show(rows)
            if keep and held:
                _keep_running(stack)
    except StartFailed as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
    if not held:
        raise typer.Exit(1)


async def _rows(stack: "Stack") -> "list[ScenarioRow]":
    from authz.demo.scenarios.run import run_all  # noqa: PLC0415 - needs the demo extra

    return [row async for row in run_all(stack)]


def _show(rows: "list[ScenarioRow]") -> None:
    """Print the table; what was seen stands below what was expected, and only where it differs."""
    count = sum(row.held for row in rows)
    cells: list[tuple[str, ...]] = []
    for row in rows:
        cells.append(("ok" if row.held else _BROKEN, row.claim, row.expected))
        if not row.held:
            cells.append((_BROKEN, "", f"seen: {row.seen}"))
    say(f"{count} of {len(rows)} held")
    headings = ("", "claim", "expected and seen" if count == len(rows) else "expected")
    table(headings, cells, alarming=lambda cell: cell[0] == _BROKEN)


def _progress(status: Status, console: Console, text: str) -> None:
    """Say what goes on: in the line that changes or, where there is no terminal, in a line of stderr."""
    status.update(text)
    if not console.is_terminal:
        say(f"{text} ...", err=True)


_TOKENS: dict[str, dict[str, Any]] = {
    "3 of 5 tools": {"scope": "files:read files:delete"},
    "4 of 5 tools": {"scope": "files:read", "roles": ["admin"]},
    "5 of 5 tools": {"scope": "files:read files:delete", "roles": ["admin"]},
}


def _keep_running(stack: "Stack") -> None:
    gateway = stack.gateways["native"]
    say(
        f"\nMCP endpoint   {gateway.url}   (guarded)\n"
        f"MCP server     {stack.upstream}   (bare: all five tools)\n"
        f"issuer         {stack.issuer}\n"
        f"metrics        {gateway.http}/metrics\n\n"
        "MCP Inspector: npx @modelcontextprotocol/inspector\n"
        f"  Transport: Streamable HTTP    URL: {gateway.url}    Authentication > Bearer token: one of\n"
    )
    for what, fields in _TOKENS.items():
        say(f"{what}:", style=Style.BOLD)
        say(f"{stack.token(ttl=86_400, **fields)}\n")
    say("Ctrl-C ends the demo.")
    with suppress(KeyboardInterrupt):
        signal.pause()

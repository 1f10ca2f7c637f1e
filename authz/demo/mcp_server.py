"""The demo's MCP server: five tools on the official SDK, in both eras on /mcp, and a record of what reached it.

It trusts every request, because only a gateway is meant to reach it; so it serves loopback alone, unless `--expose`
says by which name a gateway calls it and that something else keeps everybody else away. Files are a table and nothing
is ever deleted. It knows no tokens: whoever calls is whom the gateway's headers name.

The arrival log has one JSON line for each HTTP request, written before the request is looked at any further. With it
a test shows that a refused request never arrived. It holds names only, no header's and no argument's value.
"""

import argparse
import contextlib
import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE, TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/mcp"

_FILES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "/": ("inbox/", "reports/", "readme.txt"),
        "/inbox/": ("monday.txt", "tuesday.txt"),
        "/reports/": ("2026.csv",),
    }
)
_STARTED = time.monotonic()


async def echo(message: str) -> str:
    """Return the message."""
    return message


async def get_user_info(context: Context[Any, Any]) -> dict[str, str]:
    """Tell who calls, as the gateway hands it over; empty where it hands over nothing."""
    headers = context.headers or {}
    return {name: headers.get(f"x-mcp-{name}", "") for name in ("subject", "client", "scopes")}


async def list_files(path: str = "/") -> list[str]:
    """List a directory of the demo; names of directories end in a slash."""
    try:
        return list(_FILES[path.rstrip("/") + "/"])
    except KeyError:
        msg = "no such directory"
        raise ToolError(msg) from None


async def delete_file(filename: str) -> str:
    """Say that a file was deleted. This demo deletes nothing."""
    return f"deleted {filename} (simulated: nothing was deleted)"


async def system_status() -> dict[str, str | int]:
    """Report on this server's process; uptime in whole seconds."""
    return {"status": "ok", "python": platform.python_version(), "uptime": int(time.monotonic() - _STARTED)}


TOOLS = (echo, get_user_info, list_files, delete_file, system_status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One HTTP request that reached the server.

    Attributes:
        http_method: GET, POST, DELETE, ...
        path: without the query string.
        method: the JSON-RPC method, None when the body is not a JSON object that has one.
        tool: `params.name` of a tools/call, None otherwise.
        headers: names of all headers in lower case, sorted.
        authorization: whether there was an Authorization header.
    """

    http_method: str
    path: str
    method: str | None
    tool: str | None
    headers: tuple[str, ...]
    authorization: bool

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> Self:
        """Describe a request by its ASGI scope and its body."""
        message = _object(_decoded(body))
        method, name = _text(message.get("method")), _text(_object(message.get("params")).get("name"))
        headers = tuple(sorted({key.decode("latin-1") for key, _ in scope["headers"]}))
        return cls(
            http_method=scope["method"],
            path=scope["path"],
            method=method,
            tool=name if method == "tools/call" else None,
            headers=headers,
            authorization="authorization" in headers,
        )


def arrivals(log: Path) -> list[Arrival]:
    """Read an arrival log; a log that nothing was written to is empty."""
    if not log.exists():
        return []
    rows = map(json.loads, log.read_text().splitlines())
    return [Arrival(**{**row, "headers": tuple(row["headers"])}) for row in rows]


class ArrivalLog:
    """ASGI middleware that appends an `Arrival` to a file for each HTTP request, then passes the request on."""

    def __init__(self, app: ASGIApp, log: Path) -> None:
        """Wrap `app`; `log` is created by the first request."""
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = await _read(receive)
        self._append(Arrival.of(scope, first["body"]))
        pending = [first]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    def _append(self, arrival: Arrival) -> None:
        with self._log.open("a") as log:
            log.write(json.dumps(asdict(arrival)) + "\n")


async def _read(receive: Receive) -> Message:
    """Read a body as one message: whole, or up to where the client left or the SDK's own limit is passed."""
    body, more = bytearray(), True
    while more and len(body) <= DEFAULT_MAX_REQUEST_BODY_SIZE:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return {"type": "http.request", "body": bytes(body), "more_body": more}


def _decoded(body: bytes) -> Any:
    # Lenient on purpose: this is what the SDK's parser makes of the bytes, which is what would have been executed.
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def app(*, json_response: bool = False, log: Path | None = None, name: str = "") -> ASGIApp:
    """Return the server as an ASGI application.

    Args:
        name: host name that it answers to beside those of loopback.
        json_response: legacy results as JSON and not as an event stream; modern ones are JSON either way here,
            because no tool notifies.
        log: the arrival log, none by default.
    """
    server = MCPServer("mcp-authz-demo", log_level="WARNING")
    for tool in TOOLS:
        server.add_tool(tool)
    served = server.streamable_http_app(
        streamable_http_path=PATH, json_response=json_response, transport_security=_hosts(name)
    )
    return ArrivalLog(served, log) if log else served


def _hosts(name: str) -> TransportSecuritySettings:
    # Behind a gateway the Host is the gateway's, whose port is not known here; a web page's own name is still refused.
    names = ("127.0.0.1", "localhost", "[::1]", *([name] if name else []))
    hosts = [f"{host}{port}" for host in names for port in ("", ":*")]
    return TransportSecuritySettings(
        allowed_hosts=hosts, allowed_origins=[f"http://{host}" for host in hosts]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server until it is told to stop."""
    parser = argparse.ArgumentParser(
        prog="python -m authz.demo.mcp_server", description="MCP server with five tools"
    )
    parser.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    parser.add_argument(
        "--host", type=IPv4Address, default="127.0.0.1", help="address to listen on; default: %(default)s"
    )
    parser.add_argument(
        "--expose",
        metavar="NAME",
        default="",
        help="allow a host beyond loopback, and answer to this name; only where nobody but a gateway gets in",
    )
    parser.add_argument(
        "--log", type=Path, help="append one JSON line for each request that arrives to this file"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--sse", dest="json_response", action="store_false", help="legacy results as events (default)"
    )
    form.add_argument("--json-response", action="store_true", help="legacy results as JSON")
    parser.set_defaults(json_response=False)
    options = parser.parse_args(arguments)
    if not (options.expose or options.host.is_loopback):
        parser.error(f"argument --host: {options.host} is not a loopback address; --expose allows it")
    served = app(json_response=options.json_response, log=options.log, name=options.expose)
    host = str(options.host)
    sys.stderr.write(f"MCP server http://{host}:{options.port}{PATH}\n")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.run(served, host=host, port=options.port, log_level="warning", access_log=False, ws="none")


if __name__ == "__main__":
    main()

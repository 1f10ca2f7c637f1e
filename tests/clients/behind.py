"""The demo's MCP server as some servers are: `python -m tests.clients.behind PORT LOG`.

A call of its tool `redirect` is answered with a redirect, and one of `challenge` with a 401 whose metadata lie on the
server itself, as behind a gateway nobody may follow. With the request's header `x-answer: gzip`, lists come compressed,
whether or not that was asked for. Whatever arrives is in the log of `authz.demo.mcp_server`.
"""

import gzip
import json
import sys
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz.demo.mcp_server import PATH, TOOLS, ArrivalLog

ELSEWHERE = "/elsewhere"
METADATA = "/.well-known/oauth-protected-resource/behind"


async def redirect() -> str:
    """Be answered with a redirect."""
    return "not redirected"


async def challenge() -> str:
    """Be answered with a challenge of the server's own."""
    return "not challenged"


async def unknown_method() -> str:
    """Be sent as a method that no version knows."""
    return "sent as a call"


async def lose_session() -> str:
    """Be sent in a session that is not there."""
    return "not lost"


async def archive() -> str:
    """Be refused where a scope is missing."""
    return "archived"


MORE = (redirect, challenge, unknown_method, lose_session, archive)


class Behind:
    """ASGI middleware that answers some requests itself and compresses lists."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._answers = {
            "redirect": (307, "location", f"http://127.0.0.1:{port}{ELSEWHERE}"),
            "challenge": (
                401,
                "www-authenticate",
                f'Bearer resource_metadata="http://127.0.0.1:{port}{METADATA}"',
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        first = await receive()  # the log before it read the whole body
        message = json.loads(first["body"] or b"{}")
        answer = self._answers.get((message.get("params") or {}).get("name"))
        if answer is not None:
            status, name, value = answer
            headers = [(name.encode(), value.encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body"})
            return
        pending = [first]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        asked = (b"x-answer", b"gzip") in scope["headers"] and message.get("method") == "tools/list"
        await self._app(scope, replay, _compressing(send) if asked else send)


def _compressing(send: Send) -> Send:
    start: Message = {}
    body = bytearray()

    async def compress(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
            return
        body.extend(message.get("body", b""))
        if message.get("more_body"):
            return
        packed = gzip.compress(bytes(body))
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        headers += [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(packed))]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": packed})

    return compress


def app(port: int, log: Path) -> ASGIApp:
    """Return the server as an ASGI application."""
    server = MCPServer("behind", log_level="WARNING")
    for tool in (*TOOLS, *MORE):
        server.add_tool(tool)
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    inner = server.streamable_http_app(streamable_http_path=PATH, transport_security=unguarded)
    return ArrivalLog(Behind(inner, port), log)


if __name__ == "__main__":
    listening = int(sys.argv[1])
    uvicorn.run(
        app(listening, Path(sys.argv[2])), host="127.0.0.1", port=listening, log_level="warning", ws="none"
    )

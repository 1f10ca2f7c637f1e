"""An MCP server on the official SDK that talks while a call runs: questions to the user and the model, progress, news."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

from tests.support.waiting import DEADLINE, eventually

STEPS = 3
"""Progress notifications that one interview sends."""


class Answer(BaseModel):
    """What the user is asked for."""

    name: str


def _user() -> Elicit[Answer]:
    return Elicit("Who are you?", Answer)


def _model() -> Sample:
    return Sample(
        [SamplingMessage(role="user", content=TextContent(type="text", text="How are you?"))], max_tokens=9
    )


async def interview(
    context: Context[Any, Any],
    user: Annotated[Answer, Resolve(_user)],
    model: Annotated[CreateMessageResult, Resolve(_model)],
) -> str:
    """Ask the user and the model, in the manner of the era, and report progress."""
    for step in range(STEPS):
        await context.report_progress(step + 1, STEPS)
    text = model.content.text if isinstance(model.content, TextContent) else ""
    return f"{user.name}: {text}"


async def touch(context: Context[Any, Any], uris: list[str]) -> str:
    """Say that resources changed, to those of this session and to those who listen."""
    for uri in uris:
        await context.notify_resource_updated(uri)
        await context.session.send_resource_updated(uri)
    return "done"


async def secret() -> str:
    """What no test may call."""
    return "CANARY"


@contextlib.contextmanager
def talking_server(port: int) -> Iterator[str]:
    """Run the server on a port of the loopback, in a thread; gives its URL."""
    server = MCPServer("talking", log_level="WARNING")
    for tool in (interview, touch, secret):
        server.add_tool(tool)
    with served(server, port) as url:
        yield url


@contextlib.contextmanager
def served(server: MCPServer, port: int) -> Iterator[str]:
    """Run a server of the SDK on a port of the loopback, in a thread; gives its URL."""
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(transport_security=unguarded)
    running = uvicorn.Server(
        uvicorn.Config(
            app, host="127.0.0.1", port=port, log_level="warning", ws="none", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        assert eventually(lambda: running.started)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        running.should_exit = True
        thread.join(DEADLINE)

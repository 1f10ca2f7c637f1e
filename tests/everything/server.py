"""An MCP server with everything that the official conformance suite's fixture has, on the official SDK, in both eras.

Events of the legacy era can be replayed, for a while all of them; that is for tests and nothing else.
"""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.everything import asking, offers, rounds, tools
from tests.everything.answers import BEGUN, Call

TOOLS = {**tools.TOOLS, **asking.TOOLS, **rounds.TOOLS}
_RETRY_MS = 100
_HINT = CacheHint(ttl_ms=60_000, scope="public")
_CACHED = (
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "server/discover",
)

Context = ServerRequestContext[Any, Any]


class Events(EventStore):
    """Every event of the legacy streams, in the order of sending; an id is a place in it."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, types.JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: types.JSONRPCMessage | None) -> str:
        """Keep an event; the first of a stream has no message."""
        self._sent.append((stream_id, message))
        return str(len(self._sent) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what its stream sent after an event."""
        if not last_event_id.isdigit() or int(last_event_id) >= len(self._sent):
            return None
        last = int(last_event_id)
        stream = self._sent[last][0]
        for at, (other, message) in enumerate(self._sent[last + 1 :], start=last + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(at)))
        return stream


class Everything:
    """The handlers of one server."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.watched: set[str] = set()

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        """Answer tools/list."""
        return types.ListToolsResult(tools=[tool.listed(name) for name, tool in TOOLS.items()])

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> Any:
        """Answer tools/call."""
        tool = TOOLS.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await tool.run(Call(context, params, self.bus))

    async def list_prompts(self, context: Context, params: Any) -> types.ListPromptsResult:
        """Answer prompts/list."""
        listed = [prompt.listed(name) for name, prompt in offers.PROMPTS.items()]
        return types.ListPromptsResult(prompts=listed)

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> Any:
        """Answer prompts/get."""
        prompt = offers.PROMPTS.get(params.name)
        if prompt is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
        return await prompt.run(Call(context, params, self.bus))

    async def list_resources(self, context: Context, params: Any) -> types.ListResourcesResult:
        """Answer resources/list."""
        return types.ListResourcesResult(resources=list(offers.RESOURCES))

    async def list_templates(self, context: Context, params: Any) -> types.ListResourceTemplatesResult:
        """Answer resources/templates/list."""
        return types.ListResourceTemplatesResult(resource_templates=list(offers.TEMPLATES))

    async def read(self, context: Context, params: types.ReadResourceRequestParams) -> Any:
        """Answer resources/read."""
        return offers.read(str(params.uri))

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        """Answer resources/subscribe."""
        self.watched.add(str(params.uri))
        return types.EmptyResult()

    async def unsubscribe(
        self, context: Context, params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """Answer resources/unsubscribe."""
        self.watched.discard(str(params.uri))
        return types.EmptyResult()

    async def complete(self, context: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """Answer completion/complete."""
        return offers.complete(params)

    async def set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        """Answer logging/setLevel; everything is logged at every level."""
        return types.EmptyResult()


def _noting_begin(inner: ASGIApp) -> ASGIApp:
    """Give each request an event that is set once something of its answer's body was sent."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        begun = scope[BEGUN] = asyncio.Event()

        async def noting(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body":
                begun.set()

        await inner(scope, receive, noting)

    return outer


def _schema(name: str) -> dict[str, Any] | None:
    return dict(TOOLS[name].schema) if name in TOOLS else None


def app() -> ASGIApp:
    """Return the server as an ASGI application, on /mcp."""
    here = Everything()
    server: Server[Any] = Server(
        "everything",
        version="1",
        cache_hints=dict.fromkeys(_CACHED, _HINT),
        get_tool_input_schema=_schema,
        on_list_tools=here.list_tools,
        on_call_tool=here.call_tool,
        on_list_prompts=here.list_prompts,
        on_get_prompt=here.get_prompt,
        on_list_resources=here.list_resources,
        on_list_resource_templates=here.list_templates,
        on_read_resource=here.read,
        on_subscribe_resource=here.subscribe,
        on_unsubscribe_resource=here.unsubscribe,
        on_subscriptions_listen=ListenHandler(here.bus),
        on_completion=here.complete,
        on_set_logging_level=here.set_level,
    )
    server.middleware.append(
        RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="everything")
    )
    return _noting_begin(server.streamable_http_app(event_store=Events(), retry_interval=_RETRY_MS))

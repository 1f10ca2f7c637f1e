"""The everything server's tools that answer at once, report on the way, or change what the server offers."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server.subscriptions import PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError

from tests.everything.answers import BEGUN, Call, audio, image, resource, said, text

Handler = Callable[[Call], Awaitable[types.CallToolResult | types.InputRequiredResult]]

NOTHING: Mapping[str, Any] = {"type": "object", "properties": {}}
_STEP = 0.05
"""Seconds between two notifications of a tool that reports."""
_PATIENCE = 10.0
"""Seconds until an answer must have begun."""


@dataclass(frozen=True)
class Tool:
    """A tool: what the list says of it, and what it does."""

    description: str
    run: Handler
    schema: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    def listed(self, name: str) -> types.Tool:
        """Describe it as `tools/list` does."""
        return types.Tool(name=name, description=self.description, input_schema=dict(self.schema))


def strings(*names: str, **more: Any) -> dict[str, Any]:
    """Write a schema of required strings, and of further members as they are given."""
    properties = {**{name: {"type": "string"} for name in names}, **more}
    return {"type": "object", "properties": properties, "required": list(names)}


def fixed(*blocks: types.ContentBlock) -> Handler:
    """Make a tool that always answers the same."""

    async def run(call: Call) -> types.CallToolResult:
        return types.CallToolResult(content=list(blocks))

    return run


async def _fail(call: Call) -> types.CallToolResult:
    words = "This tool intentionally returns an error for testing"
    return types.CallToolResult(content=[text(words)], is_error=True)


async def _log(call: Call) -> types.CallToolResult:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await call.context.session.send_log_message("info", words, related_request_id=call.context.request_id)
        await asyncio.sleep(_STEP)
    return said("logged three times")


async def _progress(call: Call) -> types.CallToolResult:
    for done in (0, 50, 100):
        await call.context.session.report_progress(done, 100)
        await asyncio.sleep(_STEP)
    return said("done")


async def _reconnect(call: Call) -> types.CallToolResult:
    if call.context.close_sse_stream is not None:
        # Not before the first event, which tells the client where to go on, is on its way.
        await asyncio.wait_for(call.context.request.scope[BEGUN].wait(), _PATIENCE)
        await call.context.close_sse_stream()
    await asyncio.sleep(_STEP)
    return said("finished after the stream was closed")


async def _needs_sampling(call: Call) -> types.CallToolResult:
    if call.capabilities.sampling is None:
        raise MCPError(
            types.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "this tool needs a client that samples",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return said("the client samples")


async def _tools_changed(call: Call) -> types.CallToolResult:
    await call.bus.publish(ToolsListChanged())
    return said("told everybody who listens for tools")


async def _prompts_changed(call: Call) -> types.CallToolResult:
    await call.bus.publish(PromptsListChanged())
    return said("told everybody who listens for prompts")


async def _region(call: Call) -> types.CallToolResult:
    return said(f"region {call.arguments.get('region')}, level {call.arguments.get('level')}")


_PERSON: Mapping[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""A schema that uses what only JSON Schema 2020-12 has."""

_MIRRORED = strings(
    "region",
    level={"type": "integer", "x-mcp-header": "Level"},
)
_MIRRORED["properties"]["region"]["x-mcp-header"] = "Region"

_MIXED = (
    text("Multiple content types test:"),
    image(),
    resource("test://mixed-content-resource", '{"test":"data","value":123}', "application/json"),
)

TOOLS: Mapping[str, Tool] = {
    "test_simple_text": Tool("Says one text", fixed(text("This is a simple text response for testing."))),
    "test_image_content": Tool("Shows one picture", fixed(image())),
    "test_audio_content": Tool("Plays one sound", fixed(audio())),
    "test_embedded_resource": Tool(
        "Embeds one resource",
        fixed(resource("test://embedded-resource", "This is an embedded resource content.")),
    ),
    "test_multiple_content_types": Tool("Answers with three kinds of content", fixed(*_MIXED)),
    "test_error_handling": Tool("Always fails", _fail),
    "test_tool_with_logging": Tool("Logs three times", _log),
    "test_logging_tool": Tool("Logs three times", _log),
    "test_tool_with_progress": Tool("Reports progress three times", _progress),
    "test_reconnection": Tool("Closes its stream before it answers", _reconnect),
    "test_missing_capability": Tool("Needs a client that samples", _needs_sampling),
    "test_trigger_tool_change": Tool("Tells that the list of tools changed", _tools_changed),
    "test_trigger_prompt_change": Tool("Tells that the list of prompts changed", _prompts_changed),
    "test_mirrored_headers": Tool("Has arguments that headers repeat", _region, _MIRRORED),
    "json_schema_2020_12_tool": Tool("Tool with JSON Schema 2020-12 features", fixed(text("ok")), _PERSON),
}

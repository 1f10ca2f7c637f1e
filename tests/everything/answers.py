"""What the everything server's handlers work with: one call, and the content that they answer with."""

import base64
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus

BEGUN = "everything.begun"
"""Key in a request's ASGI scope of the event that is set once something of its answer's body was sent."""


@dataclass(frozen=True)
class Call:
    """One tools/call or prompts/get.

    Attributes:
        context: the SDK's context of the request.
        params: its params.
        bus: carries events to the open `subscriptions/listen` streams.
    """

    context: ServerRequestContext[Any, Any]
    params: types.CallToolRequestParams | types.GetPromptRequestParams
    bus: InMemorySubscriptionBus

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments by name, empty when there are none."""
        return dict(self.params.arguments or {})

    @property
    def inputs(self) -> dict[str, Any]:
        """What the client answered to the questions of the round before, by key."""
        return dict(self.params.input_responses or {})

    @property
    def capabilities(self) -> types.ClientCapabilities:
        """What the client declared."""
        return self.context.session.client_capabilities or types.ClientCapabilities()


def text(words: str) -> types.TextContent:
    """Write a text block."""
    return types.TextContent(type="text", text=words)


def said(words: str) -> types.CallToolResult:
    """Write a tool's result of one text block."""
    return types.CallToolResult(content=[text(words)])


def resource(uri: str, words: str, media: str = "text/plain") -> types.EmbeddedResource:
    """Write an embedded resource."""
    contents = types.TextResourceContents(uri=uri, mime_type=media, text=words)
    return types.EmbeddedResource(type="resource", resource=contents)


def image() -> types.ImageContent:
    """Write an image block: one red pixel."""
    return types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def audio() -> types.AudioContent:
    """Write an audio block: eight silent samples."""
    return types.AudioContent(type="audio", data=base64.b64encode(_wav()).decode(), mime_type="audio/wav")


def _png() -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixel = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")


def _wav() -> bytes:
    samples, rate = b"\x80" * 8, 8000
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate, 1, 8)
    body = b"WAVE" + form + struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI", b"RIFF", len(body)) + body


PNG = _png()
"""A picture of one red pixel."""

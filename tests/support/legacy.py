"""Requests of the handshake versions, as a client sends them in a session."""

import json
from typing import Any

VERSION = "2025-06-18"
INITIALIZE = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"}}


def legacy(method: str | None, params: dict[str, Any] | None = None, **members: Any) -> bytes:
    """Write a message with id 1; a member set to `...` is left out."""
    whole = {"jsonrpc": "2.0", "id": 1, "method": method or ..., "params": params or ..., **members}
    return json.dumps({name: value for name, value in whole.items() if value is not ...}).encode()


def lines(session: str | None = None) -> dict[str, str | None]:
    """Give the headers in which a request differs from a modern one, for `wire.request`."""
    return {"mcp-protocol-version": VERSION, "mcp-method": None, "mcp-name": None, "mcp-session-id": session}


def without_body(method: str, session: str | None = None, **more: str) -> dict[str, Any]:
    """Give the changes that make a GET or DELETE of a request without a body, for `wire.ask`."""
    return {"start": f"{method} /mcp HTTP/1.1", "change": {**lines(session), "content-type": None, **more}}

"""Builds requests for questions to a policy, and takes them through the engine."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from authz.config.settings import Settings
from authz.core.decision import Decision
from authz.core.engine import Walk, check
from authz.core.identity.principal import TokenRejected
from authz.core.mcp.item import Item
from authz.core.mcp.message import Message, read_message
from authz.core.mcp.methods import METHODS, USES
from authz.core.policy.context import Caller
from authz.core.request import HttpRequest
from authz.core.servers import ANY, Server


def server_named(servers: Mapping[str, Server], name: str) -> Server | None:
    """Return the server of this name, or the only one if the name is empty; None if there is no such server."""
    if name or len(servers) != 1:
        return servers.get(name)
    return next(iter(servers.values()))


def decide(settings: Settings, request: HttpRequest, who: Caller | TokenRejected) -> Decision:
    """Decide a request with the engine, as if its token had led to this caller or this rejection."""
    walk = Walk(
        directory=settings.directory,
        identify=lambda _server, _header: who,
        late=lambda: False,
        max_body=settings.max_body,
        limits=settings.limits,
        admit=lambda _caller, session: (
            session
        ),  # a running service's key is not at hand, and no rule reads the id
        every_answer=settings.every_answer,
    )
    return check(request, walk)


def message_of(settings: Settings, request: HttpRequest, server: Server) -> Message | None:
    """Return the message of a request, or None if the service would reject it."""
    message = read_message(request, opened=server.methods, limits=settings.limits)
    return message if isinstance(message, Message) else None


def post(
    server: Server, body: bytes, headers: Mapping[str, str] | None = None, source: str = ""
) -> HttpRequest:
    """Return the POST of a body to a server; `content-type` is JSON unless a header says otherwise."""
    return HttpRequest(
        method="POST",
        host=_host(server),
        path=server.path,
        headers={"content-type": "application/json", **(headers or {})},
        body=body,
        source=source,
    )


def _host(server: Server) -> str:
    """Return an authority that selects the server, if possible that of its public URL."""
    public = urlsplit(server.resource).netloc.lower()
    named = sorted(server.hosts - {ANY})
    if public in server.hosts or not named:
        return public or "localhost"
    return named[0]


def use(item: Item, arguments: Mapping[str, Any] | None = None) -> bytes:
    """Return the body that uses an item, such as a tools/call, in the form of the 2025 protocols."""
    method = USES[item.kind]
    row = METHODS[method]
    params: dict[str, Any] = {row.mirror or "": item.name}
    if row.arguments:
        params["arguments"] = arguments or {}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()

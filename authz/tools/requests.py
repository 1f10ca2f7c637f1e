"""Builds requests for questions to a policy, and takes them through the engine."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from authz.config.settings import Settings
from authz.core.authentication import KnownCaller
from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot, check
from authz.core.identity.principal import Caller, TokenRejected
from authz.core.identity.session import UnboundSessions
from authz.core.mcp.item import Item, Template
from authz.core.mcp.message import Message, read_message
from authz.core.mcp.methods import METHODS, USES
from authz.core.request import NEVER, HttpRequest
from authz.core.servers import ANY, Server


def server_named(servers: Mapping[str, Server], name: str) -> Server | None:
    """Return the server of this name, or the only one if the name is empty; None if there is no such server."""
    if name or len(servers) != 1:
        return servers.get(name)
    return next(iter(servers.values()))


def decide(settings: Settings, request: HttpRequest, who: Caller | TokenRejected) -> Decision:
    """Decide a request with the engine, as if its token had led to this caller or this rejection."""
    snapshot = PolicySnapshot(
        digest=settings.digest,
        directory=settings.directory,
        authenticator=KnownCaller(who),
        sessions=UnboundSessions(),  # a running service's key is not at hand, and no rule reads the id
        limits=settings.limits,
        max_body=settings.max_body,
        check_seconds=settings.check_seconds,
        stream_grace=settings.stream_grace,
        rewrite_every_answer=settings.every_answer,
    )
    return check(request, snapshot, 0.0, NEVER)


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
    if isinstance(item, Template):
        return _message("completion/complete", {"ref": {"type": "ref/resource", "uri": item.name}})
    method = USES[item.kind]
    row = METHODS[method]
    params: dict[str, Any] = {row.mirror or "": item.name}
    if row.arguments:
        params["arguments"] = arguments or {}
    return _message(method, params)


def _message(method: str, params: Mapping[str, Any]) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()

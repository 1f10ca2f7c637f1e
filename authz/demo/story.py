"""The story: what is expected of the gateway, and what was seen on the running parts, row by row."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from authz.demo.client import ERAS, call, session, tool_names
from authz.demo.stack import Stack

ALL = ["echo", "get_user_info", "list_files", "delete_file", "system_status"]
_MCP = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
_RECOVERY_SECONDS, _RETRY_SECONDS = 10.0, 0.1
_INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "demo", "version": "1"},
    },
}


@dataclass(frozen=True, slots=True)
class Row:
    """One claim about the gateway.

    Attributes:
        claim: in a user's words.
        expected: what should be seen.
        seen: what was seen.
    """

    claim: str
    expected: str
    seen: str

    @property
    def held(self) -> bool:
        """Whether it was so."""
        return self.expected == self.seen


Chapter = Callable[[Stack], AsyncIterator[Row]]


async def tell(stack: Stack) -> AsyncIterator[Row]:
    """Run the whole story."""
    for chapter in (_alone, _without_token, _bad_tokens, _lists, _near_misses, _calls, _bodies, _outage):
        async for row in chapter(stack):
            yield row


async def _alone(stack: Stack) -> AsyncIterator[Row]:
    for mode in ERAS:
        names = await tool_names(stack.upstream, None, mode)
        yield Row(f"MCP server alone, {mode}: tools listed", _join(ALL), _join(names))


async def _without_token(stack: Stack) -> AsyncIterator[Row]:
    url = stack.gateways["native"].url
    response = _post(url, None, _INITIALIZE)
    challenge = response.headers.get("www-authenticate", "")
    yield Row("through Envoy, no token", "401 missing_token", f"{response.status_code} {_reason(response)}")
    metadata = challenge.partition('resource_metadata="')[2].partition('"')[0]
    yield Row("the challenge names the metadata document", _well_known(url), metadata or challenge)
    document = _get(metadata) if metadata else {}
    yield Row("which is served without a token", url, str(document.get("resource")))
    yield Row("and names the issuer", stack.issuer, ", ".join(document.get("authorization_servers", [])))


_BAD_TOKENS = {
    "expired": "expired_token",
    "not_yet_valid": "not_yet_valid",
    "wrong_audience": "wrong_audience",
    "wrong_issuer": "unknown_issuer",
    "alg_none": "malformed_token",
    "hs256_public_key": "bad_signature",
    "foreign_key": "bad_signature",
    "unknown_kid": "unknown_key",
}


async def _bad_tokens(stack: Stack) -> AsyncIterator[Row]:
    url = stack.gateways["native"].url
    before = len(stack.arrivals())
    for kind, reason in _BAD_TOKENS.items():
        response = _post(url, stack.bad_token(kind), _INITIALIZE)
        yield Row(
            f"token: {kind.replace('_', ' ')}", f"401 {reason}", f"{response.status_code} {_reason(response)}"
        )
    yield _nothing_arrived(stack, before)


_CALLERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "files:read files:delete": ({"scope": "files:read files:delete"}, ALL[:3]),
    "files:read, admin": ({"scope": "files:read", "roles": ["admin"]}, [*ALL[:3], "system_status"]),
    "files:read files:delete, admin": ({"scope": "files:read files:delete", "roles": ["admin"]}, ALL),
    "no scope": ({}, ALL[:2]),
}


async def _lists(stack: Stack) -> AsyncIterator[Row]:
    for form, gateway in stack.gateways.items():
        for who, (fields, expected) in _CALLERS.items():
            token = stack.token(form, **fields)
            for mode in ERAS:
                names = await tool_names(gateway.url, token, mode)
                yield Row(f"{form}, {mode}: {who}: tools listed", _join(expected), _join(names))


async def _near_misses(stack: Stack) -> AsyncIterator[Row]:
    url = stack.gateways["native"].url
    for scope in ("profiles:read", "xfiles:readonly"):
        names = await tool_names(url, stack.token(scope=scope), "legacy")
        yield Row(f"native: scope {scope}: tools listed", _join(ALL[:2]), _join(names))


_ARGUMENTS = {"echo": {"message": "hi"}, "delete_file": {"filename": "/inbox/monday.txt"}}
_OUTSIDE = {"filename": "/etc/passwd"}


async def _calls(stack: Stack) -> AsyncIterator[Row]:
    for form, gateway in stack.gateways.items():
        token = stack.token(form, scope="files:read files:delete")
        for mode in ERAS:
            async with session(gateway.url, token, mode) as client:
                seen = [f"{tool} {await call(client, tool, _ARGUMENTS.get(tool, {}))}" for tool in ALL]
            refused = ("missing_role", "no_rule") if form == "native" else ("no_rule", "no_rule")
            expected = [f"{tool} allowed" for tool in ALL[:3]]
            expected += [f"{tool} {reason}" for tool, reason in zip(ALL[3:], refused, strict=True)]
            yield Row(f"{form}, {mode}: calls without admin", _join(expected), _join(seen))
    admin = stack.token(scope="files:read files:delete", roles=["admin"])
    for mode in ERAS:
        async with session(stack.gateways["native"].url, admin, mode) as client:
            outside = await call(client, "delete_file", _OUTSIDE)
            inside = await call(client, "delete_file", _ARGUMENTS["delete_file"])
        yield Row(f"native, {mode}: admin deletes /etc/passwd", "args_not_allowed", outside)
        yield Row(f"native, {mode}: admin deletes in /inbox", "allowed", inside)


def _call_body(**more: Any) -> bytes:
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": "tools/call",
        "params": {"name": "echo", "arguments": {}},
        **more,
    }
    return json.dumps(message).encode()


_BODIES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "over the limit": (b'{"pad":"' + b"x" * 1_048_576 + b'"}', {}, "413 body_too_large"),
    "cut short": (_call_body()[:-1], {}, "400 bad_json"),
    "a batch": (b"[" + _call_body() + b"]", {}, "400 batch"),
    "a key twice": (_call_body().replace(b'"id"', b'"method":"ping","id"', 1), {}, "400 bad_json"),
    "a key in capitals": (_call_body(Method="ping"), {}, "400 bad_message"),
    "text/plain": (_call_body(), {"content-type": "text/plain"}, "415 bad_content_type"),
    "gzip": (_call_body(), {"content-encoding": "gzip"}, "415 bad_encoding"),
    "method unknown": (_call_body(method="tools/destroy"), {}, "404 unknown_method"),
    "header names another tool": (
        _call_body(),
        {"mcp-method": "tools/call", "mcp-name": "get_user_info"},
        "400 header_mismatch",
    ),
}


async def _bodies(stack: Stack) -> AsyncIterator[Row]:
    url, token = stack.gateways["native"].url, stack.token(scope="files:read", roles=["admin"])
    before = len(stack.arrivals())
    for what, (body, headers, expected) in _BODIES.items():
        response = _post(url, token, body, headers)
        yield Row(f"body: {what}", expected, f"{response.status_code} {_reason(response)}")
    yield _nothing_arrived(stack, before)


async def _outage(stack: Stack) -> AsyncIterator[Row]:
    gateway = stack.gateways["native"]
    token = stack.token(scope="files:read")
    stack.supervisor.stop(gateway.service_name)
    before = len(stack.arrivals())
    response = _post(gateway.url, token, _INITIALIZE)
    yield Row("service killed", "503", str(response.status_code))
    yield _nothing_arrived(stack, before)
    stack.supervisor.restart(gateway.service_name)
    names = await _eventually(lambda: tool_names(gateway.url, token, "legacy"))
    yield Row("service back: tools listed", _join(ALL[:3]), _join(names))


async def _eventually(attempt: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """Try until it works: Envoy takes a service back with its next health check. The last try's error is raised."""
    deadline = time.monotonic() + _RECOVERY_SECONDS
    while True:
        try:
            return await attempt()
        except Exception:  # whatever the client makes of a 503
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_RETRY_SECONDS)


def _nothing_arrived(stack: Stack, before: int) -> Row:
    return Row(
        "  … and the MCP server saw none of it", "0 requests", f"{len(stack.arrivals()) - before} requests"
    )


def _post(
    url: str, token: str | None, body: dict[str, Any] | bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    sent = {**_MCP, **({} if token is None else {"authorization": f"Bearer {token}"}), **(headers or {})}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(url, content=content, headers=sent, trust_env=False, timeout=20.0)


def _get(url: str) -> dict[str, Any]:
    value = httpx.get(url, trust_env=False, timeout=20.0).json()
    return value if isinstance(value, dict) else {}


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["data"]["reason"])
    except (ValueError, KeyError, TypeError):
        return "-"


def _well_known(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}/.well-known/oauth-protected-resource/{path}"


def _join(names: list[str]) -> str:
    return ", ".join(names)

"""Scenarios in which nothing around the gateway changes: what it lists, allows and denies."""

import json
from collections.abc import AsyncIterator
from typing import Any

from authz.demo.client import ERAS, call, session, tool_names
from authz.demo.scenarios.result import ALL, ScenarioRow, get, join, nothing_arrived, outcome, post
from authz.demo.stack import Stack


async def alone(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show the unguarded MCP server, at which anyone may do anything."""
    for mode in ERAS:
        names = await tool_names(stack.upstream, None, mode)
        yield ScenarioRow(f"MCP server alone, {mode}: tools listed", join(ALL), join(names))


async def without_token(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a client without a token is told where to get one."""
    url = stack.gateways["native"].url
    response = post(url, None)
    challenge = response.headers.get("www-authenticate", "")
    yield ScenarioRow("through Envoy, no token", "401 missing_token", outcome(response))
    metadata = challenge.partition('resource_metadata="')[2].partition('"')[0]
    yield ScenarioRow("the challenge names the metadata document", _well_known(url), metadata or challenge)
    document = get(metadata) if metadata else {}
    yield ScenarioRow("which is served without a token", url, str(document.get("resource")))
    yield ScenarioRow(
        "and names the issuer", stack.issuer, ", ".join(document.get("authorization_servers", []))
    )


BAD_TOKENS = {
    "expired": "expired_token",
    "not_yet_valid": "not_yet_valid",
    "wrong_audience": "wrong_audience",
    "wrong_issuer": "unknown_issuer",
    "alg_none": "malformed_token",
    "hs256_public_key": "bad_signature",
    "foreign_key": "bad_signature",
    "unknown_kid": "unknown_key",
}


async def bad_tokens(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that each wrong token is rejected, with the reason that fits."""
    url = stack.gateways["native"].url
    before = len(stack.arrivals())
    for kind, reason in BAD_TOKENS.items():
        response = post(url, stack.bad_token(kind))
        yield ScenarioRow(f"token: {kind.replace('_', ' ')}", f"401 {reason}", outcome(response))
    yield nothing_arrived(stack, before)


_CALLERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "files:read files:delete": ({"scope": "files:read files:delete"}, ALL[:3]),
    "files:read, admin": ({"scope": "files:read", "roles": ["admin"]}, [*ALL[:3], "system_status"]),
    "files:read files:delete, admin": ({"scope": "files:read files:delete", "roles": ["admin"]}, ALL),
    "no scope": ({}, ALL[:2]),
}


async def lists(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show which caller sees which tools, in both forms of the policy and both eras of the protocol."""
    for form, gateway in stack.gateways.items():
        for who, (fields, expected) in _CALLERS.items():
            token = stack.token(form, **fields)
            for mode in ERAS:
                names = await tool_names(gateway.url, token, mode)
                yield ScenarioRow(f"{form}, {mode}: {who}: tools listed", join(expected), join(names))


async def near_misses(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a scope is compared as a whole word and not as a substring."""
    url = stack.gateways["native"].url
    for scope in ("profiles:read", "xfiles:readonly"):
        names = await tool_names(url, stack.token(scope=scope), "legacy")
        yield ScenarioRow(f"native: scope {scope}: tools listed", join(ALL[:2]), join(names))


_ARGUMENTS = {"echo": {"message": "hi"}, "delete_file": {"filename": "/inbox/monday.txt"}}
_OUTSIDE = {"filename": "/etc/passwd"}


async def calls(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a tool that is not listed cannot be called, and that arguments can decide."""
    for form, gateway in stack.gateways.items():
        token = stack.token(form, scope="files:read files:delete")
        for mode in ERAS:
            async with session(gateway.url, token, mode) as client:
                seen = [f"{tool} {await call(client, tool, _ARGUMENTS.get(tool, {}))}" for tool in ALL]
            refused = ("missing_role", "no_rule") if form == "native" else ("no_rule", "no_rule")
            expected = [f"{tool} allowed" for tool in ALL[:3]]
            expected += [f"{tool} {reason}" for tool, reason in zip(ALL[3:], refused, strict=True)]
            yield ScenarioRow(f"{form}, {mode}: calls without admin", join(expected), join(seen))
    admin = stack.token(scope="files:read files:delete", roles=["admin"])
    for mode in ERAS:
        async with session(stack.gateways["native"].url, admin, mode) as client:
            outside = await call(client, "delete_file", _OUTSIDE)
            inside = await call(client, "delete_file", _ARGUMENTS["delete_file"])
        yield ScenarioRow(f"native, {mode}: admin deletes /etc/passwd", "args_not_allowed", outside)
        yield ScenarioRow(f"native, {mode}: admin deletes in /inbox", "allowed", inside)


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
    "method unknown": (_call_body(method="tools/destroy"), {}, "200 unknown_method"),
    "header names another tool": (
        _call_body(),
        {"mcp-method": "tools/call", "mcp-name": "get_user_info"},
        "400 header_mismatch",
    ),
}


async def bodies(stack: Stack) -> AsyncIterator[ScenarioRow]:
    """Show that a body is refused if two parsers could read it differently."""
    url, token = stack.gateways["native"].url, stack.token(scope="files:read", roles=["admin"])
    before = len(stack.arrivals())
    for what, (body, headers, expected) in _BODIES.items():
        response = post(url, token, body, headers)
        yield ScenarioRow(f"body: {what}", expected, outcome(response))
    yield nothing_arrived(stack, before)


def _well_known(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}/.well-known/oauth-protected-resource/{path}"

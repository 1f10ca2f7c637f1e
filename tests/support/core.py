"""Rules, callers, servers and requests for tests: plain ones, changed by hand in exactly the place a test is about."""

import dataclasses
import json
from functools import cache
from types import MappingProxyType
from typing import Any

import msgspec

from authz.config.cel.compile import compile_expression
from authz.core import engine
from authz.core.decision import Decision
from authz.core.engine import PolicySnapshot
from authz.core.identity.principal import Caller, Principal, TokenRejected
from authz.core.identity.session import Sessions
from authz.core.identity.token import bearer, verify
from authz.core.mcp.item import Item, Kind
from authz.core.policy.context import EvaluationContext
from authz.core.policy.expression import Expression
from authz.core.policy.policy import Policy
from authz.core.policy.rule import Effect, Groups, Rule, Selector
from authz.core.reasons import Reason
from authz.core.request import NEVER, Deadline, HttpRequest, Limits
from authz.core.servers import Directory, Server
from tests.support import tokens

SESSIONS = Sessions([b"0123456789abcdef0123456789abcdef"])
"""Binds and admits the session ids of these tests."""
RESOURCE = "https://mcp.example/mcp"
MODERN = "2026-07-28"
LEGACY = "2025-06-18"
META = MappingProxyType(
    {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    },
)


def changed(record: Any, **changes: Any) -> Any:
    """Give a copy of an immutable record with some attributes changed."""
    is_struct = isinstance(record, msgspec.Struct)
    return msgspec.structs.replace(record, **changes) if is_struct else dataclasses.replace(record, **changes)


@cache
def condition(text: str) -> Expression:
    """Compile a condition, once for each text."""
    return compile_expression(text)


def rule(effect: str = "allow", *tools: str, name: str = "", **parts: Any) -> Rule:
    """Give a rule about tools, or about `names` (kind to names); conditions are texts, grants are any iterables."""
    for key in ("scopes", "any_scopes", "roles", "issuers"):
        parts[key] = frozenset(parts.get(key, ()))
    if "groups" in parts:
        parts["groups"] = Groups.of(parts["groups"])
    for key in ("when", "args"):
        parts[key] = condition(parts[key]) if parts.get(key) else None
    names = parts.pop("names", {Kind.TOOL: tools})
    return Rule(name=name or f"{effect}-rule", effect=Effect(effect), selector=Selector.of(names), **parts)


def principal(
    *scopes: str, roles: tuple[str, ...] = (), groups: tuple[str, ...] = (), **claims: Any
) -> Principal:
    """Give a verified caller with these scopes, roles, groups and claims."""
    return Principal(
        issuer=tokens.ISSUER,
        subject="auth0|alice",
        client="client-1",
        scopes=scopes,
        roles=roles,
        groups=groups,
        claims={"sub": "auth0|alice", **claims},
        expires=tokens.NOW + 600,
    )


def tool(name: str) -> Item:
    """Give a tool."""
    return Item(Kind.TOOL, name)


def context(
    who: Principal | None = None, arguments: Any = MappingProxyType({}), issuer: str = "main", **headers: str
) -> EvaluationContext:
    """Give a call by a caller; `arguments` None asks for a place in a list."""
    request = HttpRequest(method="POST", host="mcp.example", path="/mcp", headers=headers, source="192.0.2.1")
    given = arguments if arguments is None else dict(arguments)
    caller = Caller.of(who or principal(), "demo", issuer=issuer)
    return EvaluationContext(caller, request, "tools/call", given)


def server(*rules: Rule, **changes: Any) -> Server:
    """Give the server behind `RESOURCE`, with the default issuer and these rules."""
    parts: dict[str, Any] = {
        "name": "demo",
        "hosts": frozenset({"mcp.example", "mcp.example:443"}),
        "path": "/mcp",
        "resource": RESOURCE,
        "issuers": {tokens.ISSUER: tokens.trust()},
        "policy": Policy(rules),
    }
    return Server(**{**parts, **changes})


@cache
def _verified(token: str) -> Any:
    return verify(token, {tokens.ISSUER: (tokens.trust(), tokens.good_keys())}, tokens.NOW)


def identify(target: Server, authorization: str | None) -> Any:
    """Verify the token for real, against the default issuer's keys."""
    token = bearer(authorization)
    outcome = _verified(token) if isinstance(token, str) else token
    return Caller.of(outcome, target.name) if isinstance(outcome, Principal) else outcome


class Authenticating:
    """Stands in for the authenticator: a function of server and header gives the caller, or the rejection."""

    def __init__(self, identify: Any) -> None:
        self._identify = identify

    def authenticate(self, target: Server, authorization: str | None, _now: float) -> Any:
        return self._identify(target, authorization)


def snapshot(*servers: Server, identify: Any = identify, **changes: Any) -> PolicySnapshot:
    """Return what the engine decides with: real tokens, unless a function identifies callers."""
    parts: dict[str, Any] = {
        "digest": "0" * 16,
        "directory": Directory(servers),
        "authenticator": Authenticating(identify),
        "sessions": SESSIONS,
        "max_body": 4096,
        "limits": Limits(),
        "check_seconds": 1.0,
        "stream_grace": 0.0,
    }
    return PolicySnapshot(**{**parts, **changes})


TOO_LATE = Deadline(0.0, lambda: 1.0)
"""A deadline that has passed."""


def check(request: HttpRequest, target: PolicySnapshot, deadline: Deadline = NEVER) -> Decision:
    """Decide about a request, at the time at which the tokens of these tests are valid."""
    return engine.check(request, target, tokens.NOW, deadline)


@cache
def good_token() -> str:
    """Give an acceptable token, signed once."""
    return tokens.token()


def own_session(session: str = "s") -> str:
    """Give the id by which the good token's caller may use a session at the default server."""
    return SESSIONS.bind(identify(server(), f"Bearer {good_token()}"), session)


def own_event(event: bytes = b"7") -> str:
    """Give the id by which the good token's caller may resume a stream of the default server after an event."""
    return SESSIONS.bind_event(identify(server(), f"Bearer {good_token()}"), event).decode()


def message(method: str | None, params: Any = None, **members: Any) -> dict[str, Any]:
    """Give a JSON-RPC request with id 1; a member set to `...` is left out."""
    base = {"jsonrpc": "2.0", "id": 1, "method": method, "params": ... if params is None else params}
    return {key: value for key, value in {**base, **members}.items() if value is not ...}


def modern(method: str, params: Any = None, **members: Any) -> dict[str, Any]:
    """Give a request as 2026-07-28 has it, with complete `_meta`."""
    return message(method, {"_meta": dict(META), **(params or {})}, **members)


def mirrored(method: str, name: str | None = None, version: str = MODERN) -> dict[str, str]:
    """Give the headers that a modern client sends beside a body."""
    headers = {"mcp-protocol-version": version, "mcp-method": method}
    return headers if name is None else {**headers, "mcp-name": name}


def post(body: Any, headers: Any = None, **changes: Any) -> HttpRequest:
    """Give a POST with the good token; bytes go as they are, other bodies as JSON; a header `...` is left out."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    base = {"authorization": f"Bearer {good_token()}", "content-type": "application/json"}
    parts: dict[str, Any] = {
        "method": "POST",
        "host": "mcp.example",
        "path": "/mcp",
        "headers": {key: value for key, value in {**base, **(headers or {})}.items() if value is not ...},
        "body": raw,
    }
    return HttpRequest(**{**parts, **changes})


def call(name: str = "echo", arguments: Any = None, **changes: Any) -> HttpRequest:
    """Give a legacy tools/call by the good token."""
    return post(message("tools/call", {"name": name, "arguments": arguments or {}}), **changes)


def refusal(reason: Reason, detail: str, *scopes: str) -> Decision:
    """Decide about a request whose token is refused with this detail, at a server that asks for these scopes first."""
    refused = TokenRejected(reason=reason, detail=detail)
    return check(post(message("ping", id=7)), snapshot(server(scopes=scopes), identify=lambda *_: refused))


def told(decision: Decision) -> dict[str, Any]:
    """Give everything about a decision that somebody is told, or that is recorded."""
    names = "reason allowed server method item rule principal request_id version rewrite session scopes shadows denial hide code"
    return {name: getattr(decision, name) for name in names.split()}

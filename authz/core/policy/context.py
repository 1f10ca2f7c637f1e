"""What conditions are evaluated against: a caller, a request, an item, perhaps arguments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.identity.principal import Principal
from authz.core.mcp.item import Item, Kind
from authz.core.policy.expression import CALLER_NAMES, Expression, Truth, activate
from authz.core.request import DEFAULT_LIMITS, HttpRequest
from authz.core.wire.confusables import imitates

_HIDDEN_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """A principal at one server, with the values of conditions that depend on nothing else.

    Attributes:
        principal: who calls.
        server: the server's name.
        scopes: the principal's scopes as a set.
        roles: the principal's roles as a set.
        known: values of conditions that read only the caller, filled as they are met.
        verdicts: what the policy says of items where it depends on nothing but the caller, filled as they are met.
        kept: what an edge keeps for this caller, under keys of its own; dies with the caller.
        sessions: session ids that were verified for this caller, filled as they are met.
        ends: moment from which the caller's token is no longer accepted, in seconds since the epoch; None for never.
    """

    principal: Principal
    server: str
    scopes: frozenset[str]
    roles: frozenset[str]
    known: dict[Expression, Truth] = field(default_factory=dict, repr=False)
    verdicts: dict[object, Any] = field(default_factory=dict, repr=False)
    kept: dict[object, bytes] = field(default_factory=dict, repr=False)
    sessions: dict[object, str] = field(default_factory=dict, repr=False)
    ends: float | None = None

    @classmethod
    def of(cls, principal: Principal, server: str, ends: float | None = None) -> "Caller":
        """Prepare a principal for decisions at a server."""
        return cls(principal, server, frozenset(principal.scopes), frozenset(principal.roles), ends=ends)


@dataclass(slots=True, eq=False)
class EvaluationContext:
    """One request by one caller.

    Attributes:
        caller: who asks.
        request: the HTTP request; its body is not read.
        method: the MCP method that uses the items.
        arguments: the call's arguments; None when visibility in a list is judged.
        args_bytes: largest request body whose arguments an expression may read.
    """

    caller: Caller
    request: HttpRequest
    method: str
    arguments: Mapping[str, Any] | None
    args_bytes: int = DEFAULT_LIMITS.args

    def truth(self, expression: Expression, item: Item) -> Truth:
        """Give a condition's value for an item; values that depend on the caller alone are computed once."""
        if not expression.reads <= CALLER_NAMES:
            return self._evaluate(expression, item)
        known = self.caller.known
        value = known.get(expression)
        if value is None:
            value = known[expression] = self._evaluate(expression, item)
        return value

    def values(self, names: Iterable[str], item: Item) -> dict[str, Any]:
        """Give what conditions see under some of the top-level names, for an item."""
        return {name: _BINDINGS[name](self, item) for name in names}

    def _evaluate(self, expression: Expression, item: Item) -> Truth:
        if "args" in expression.reads and not self._readable(expression):
            return Truth.ERROR
        try:
            activation = activate(self.values(expression.reads, item))
        except RuntimeError:
            return Truth.ERROR
        return expression.value(activation)

    def _readable(self, expression: Expression) -> bool:
        """Tell whether an expression may read the arguments: neither too many, nor one that only looks like one it reads."""
        arguments = self.arguments or {}
        named = expression.arguments
        return len(self.request.body) <= self.args_bytes and not (named and imitates(arguments, named))


def visible_headers(request: HttpRequest) -> dict[str, str]:
    """Give the headers that conditions may read: none that holds a credential, no pseudo-header."""
    return {
        name: value
        for name, value in request.headers.items()
        if name not in _HIDDEN_HEADERS and not name.startswith(":")
    }


def _mcp(occasion: EvaluationContext, item: Item) -> dict[str, Any]:
    target = occasion.caller.server
    below: dict[Kind, dict[str, Any]] = {
        Kind.TOOL: {"tool": {"name": item.name, "target": target}},
        Kind.PROMPT: {"prompt": {"name": item.name, "target": target}},
        Kind.RESOURCE: {"resource": {"uri": item.name, "name": item.name, "target": target}},
        Kind.TASK: {"task": {"id": item.name}},
    }
    return {"method": occasion.method, **below[item.kind]}


def _request(occasion: EvaluationContext, _: Item) -> dict[str, Any]:
    request = occasion.request
    return {
        "method": request.method,
        "host": request.host,
        "path": request.path.partition("?")[0],
        "headers": visible_headers(request),
    }


_BINDINGS = {
    "jwt": lambda occasion, _: occasion.caller.principal.claims,
    "scopes": lambda occasion, _: list(occasion.caller.principal.scopes),
    "roles": lambda occasion, _: list(occasion.caller.principal.roles),
    "client": lambda occasion, _: occasion.caller.principal.client,
    "server": lambda occasion, _: occasion.caller.server,
    "args": lambda occasion, _: occasion.arguments,
    "source": lambda occasion, _: {"address": occasion.request.source},
    "mcp": _mcp,
    "request": _request,
}

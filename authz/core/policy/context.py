"""What conditions are evaluated against: a caller, a request, an item, perhaps arguments."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.expression import CALLER_NAMES, Expression, Truth, activate
from authz.core.request import DEFAULT_LIMITS, HttpRequest
from authz.core.wire.confusables import imitates

_HIDDEN_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


class EvaluationContext(msgspec.Struct, eq=False):
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
        """Return a condition's value for an item; values that depend on the caller alone are computed once."""
        if not expression.reads <= CALLER_NAMES:
            return self._evaluate(expression, item)
        known = self.caller.cache.conditions
        value: Truth | None = known.get(expression)
        if value is None:
            value = known.put(expression, self._evaluate(expression, item))
        return value

    def values(self, names: Iterable[str], item: Item) -> dict[str, Any]:
        """Return what conditions see under some of the top-level names, for an item."""
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
        """Return whether an expression may read the arguments: neither too many, nor one that only looks like one it reads."""
        arguments = self.arguments or {}
        named = expression.arguments
        return len(self.request.body) <= self.args_bytes and not (named and imitates(arguments, named))


def visible_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers that conditions may read, without credentials and pseudo-headers."""
    return {
        name: value
        for name, value in request.headers.items()
        if name not in _HIDDEN_HEADERS and not name.startswith(":")
    }


def _mcp(context: EvaluationContext, item: Item) -> dict[str, Any]:
    target = context.caller.server
    below: dict[Kind, dict[str, Any]] = {
        Kind.TOOL: {"tool": {"name": item.name, "target": target}},
        Kind.PROMPT: {"prompt": {"name": item.name, "target": target}},
        Kind.RESOURCE: {"resource": {"uri": item.name, "name": item.name, "target": target}},
        Kind.TASK: {"task": {"id": item.name}},
    }
    return {"method": context.method, **below[item.kind]}


def _request(context: EvaluationContext, _: Item) -> dict[str, Any]:
    request = context.request
    return {
        "method": request.method,
        "host": request.host,
        "path": request.path.partition("?")[0],
        "headers": visible_headers(request),
    }


_BINDINGS = {
    "jwt": lambda context, _: context.caller.principal.claims,
    "scopes": lambda context, _: list(context.caller.principal.scopes),
    "roles": lambda context, _: list(context.caller.principal.roles),
    "client": lambda context, _: context.caller.principal.client,
    "server": lambda context, _: context.caller.server,
    "args": lambda context, _: context.arguments,
    "source": lambda context, _: {"address": context.request.source},
    "mcp": _mcp,
    "request": _request,
}

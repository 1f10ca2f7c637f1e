"""What conditions are evaluated against: a caller, a request, an item, perhaps arguments.

Of the arguments an expression sees what it reads, and nothing else is looked at. Where it reads one object, no key of it
may be taken for one that is read; where it reads a whole value, no two keys may be taken for one. A number there that a
double does not hold exactly has no value, since the server may see another. The request's budget pays for the walk, once
for all expressions that read the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from authz.core.identity.principal import Caller
from authz.core.mcp.item import Item, Kind
from authz.core.policy.expression import (
    CALLER_NAMES,
    WORST_CASE,
    Activation,
    ArgumentPaths,
    Expression,
    Truth,
    activate,
)
from authz.core.policy.rule import Arguments
from authz.core.request import DEFAULT_LIMITS, HttpRequest
from authz.core.wire.confusables import PROTOTYPE_NAMES, Budget, OverBudgetError, collide, misleads
from authz.core.wire.strict_json import InexactNumber

HIDDEN_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""Headers with credentials, which no condition sees."""


class UnfitArgumentsError(Exception):
    """What is read of the arguments could mean something else to the server."""


_UNFIT = object()


class EvaluationContext(msgspec.Struct, eq=False):
    """One request by one caller.

    Attributes:
        caller: who asks.
        request: the HTTP request; its body is not read.
        method: the MCP method that uses the items.
        arguments: the call's arguments; None when visibility in a list is judged.
        args_bytes: largest request body whose arguments an expression may read.
        budget: pays for looking at the arguments; None for a budget of its own.
        seen: what was read of the arguments, by the paths; `_UNFIT` where it must not be.
    """

    caller: Caller
    request: HttpRequest
    method: str
    arguments: Mapping[str, Any] | None
    args_bytes: int = DEFAULT_LIMITS.args
    budget: Budget | None = None
    seen: dict[ArgumentPaths | None, Any] = {}

    def in_list(self) -> "EvaluationContext":
        """Return the same caller and request without arguments, as an item's place in a list is judged."""
        return EvaluationContext(self.caller, self.request, self.method, None, self.args_bytes, self.budget)

    def truth(self, expression: Expression, item: Item) -> Truth:
        """Return a condition's value for an item; values that depend on the caller alone are computed once."""
        if not expression.reads <= CALLER_NAMES:
            return self._evaluate(expression, item)
        known = self.caller.cache.conditions
        value: Truth | None = known.get(expression)
        if value is None:
            value = known.put(expression, self._evaluate(expression, item))
        return value

    def fits(self, declared: Arguments) -> bool:
        """Return whether the call's arguments are as declared; False if there is too much to tell."""
        if declared.reads_text and len(self.request.body) > self.args_bytes:
            return False
        try:
            return self.arguments is not None and declared.fit(self.arguments, self._paying())
        except OverBudgetError:
            return False

    def values(self, expression: Expression, item: Item) -> dict[str, Any]:
        """Return what an expression sees under the top-level names that it reads, for an item."""
        return {name: _BINDINGS[name](self, item, expression) for name in expression.reads}

    def bind(self, expression: Expression, item: Item) -> Activation:
        """Return what an expression reads, for an item.

        Raises:
            UnfitArgumentsError: what is read of the arguments could mean something else to the server.
            RuntimeError: a value cannot be expressed in CEL.
        """
        bound = self.values(expression, item)
        if "args" in bound:
            bound["args"] = self._read(expression.arguments)
        return activate(bound)

    def _evaluate(self, expression: Expression, item: Item) -> Truth:
        try:
            activation = self.bind(expression, item)
        except (RuntimeError, UnfitArgumentsError):
            return Truth.ERROR
        return expression.value(activation)

    def _read(self, paths: ArgumentPaths | None) -> Any:
        """Return what is read of the arguments.

        Raises:
            UnfitArgumentsError: the body is too large, there is too much to look at, or it could be read in two ways.
        """
        if len(self.request.body) > self.args_bytes:
            raise UnfitArgumentsError
        if paths not in self.seen:
            self.seen[paths] = self._look(paths)
        if self.seen[paths] is _UNFIT:
            raise UnfitArgumentsError
        return self.seen[paths]

    def _look(self, paths: ArgumentPaths | None) -> Any:
        try:
            return _seen(self.arguments, paths, self._paying())
        except (OverBudgetError, UnfitArgumentsError):
            return _UNFIT

    def _paying(self) -> Budget:
        if self.budget is None:
            self.budget = Budget(DEFAULT_LIMITS.nodes, DEFAULT_LIMITS.normalised)
        return self.budget


def _seen(value: Any, paths: ArgumentPaths | None, budget: Budget) -> Any:
    """Return a value with what is read of it, or all of it if it is no object.

    Raises:
        OverBudgetError: there is more to look at than the budget pays for.
        UnfitArgumentsError: it could be read in two ways.
    """
    if paths is None or not isinstance(value, Mapping):
        _walk(value, budget)
        return value
    if misleads(value, paths.names, budget):
        raise UnfitArgumentsError
    return {name: _seen(value[name], below, budget) for name, below in paths.below.items() if name in value}


def _walk(value: Any, budget: Budget) -> None:
    """Look at every value and every key, without recursion.

    Raises:
        OverBudgetError: there are more than the budget pays for.
        UnfitArgumentsError: two keys are one to some reader, or a number is inexact.
    """
    level = [value]
    while level:
        part = level.pop()
        if isinstance(part, InexactNumber):
            raise UnfitArgumentsError
        if not isinstance(part, dict | list):
            continue
        budget.visit(len(part))
        if isinstance(part, dict) and (not PROTOTYPE_NAMES.isdisjoint(part) or collide(part, budget)):
            raise UnfitArgumentsError
        level += part.values() if isinstance(part, dict) else part


def visible_headers(request: HttpRequest) -> dict[str, str]:
    """Return the headers that conditions may read, without credentials and pseudo-headers."""
    return {
        name: value
        for name, value in request.headers.items()
        if name not in HIDDEN_HEADERS and not name.startswith(":")
    }


def _mcp(context: EvaluationContext, item: Item, _: Expression) -> dict[str, Any]:
    target = context.caller.server
    below: dict[Kind, dict[str, Any]] = {
        Kind.TOOL: {"tool": {"name": item.name, "target": target}},
        Kind.PROMPT: {"prompt": {"name": item.name, "target": target}},
        Kind.RESOURCE: {"resource": {"uri": item.name, "name": item.name, "target": target}},
        Kind.TASK: {"task": {"id": item.name}},
    }
    return {"method": context.method, **below[item.kind]}


def _request(context: EvaluationContext, *_: object) -> dict[str, Any]:
    request = context.request
    return {
        "method": request.method,
        "host": request.host,
        "path": request.path.partition("?")[0],
        "headers": visible_headers(request),
    }


def _tool(_: EvaluationContext, item: Item, expression: Expression) -> dict[str, bool]:
    """Return what was approved of a tool's annotations; anything else counts as the worst case."""
    return dict(expression.hints.get(item.name, WORST_CASE) if item.kind is Kind.TOOL else WORST_CASE)


_BINDINGS: Mapping[str, Callable[[EvaluationContext, Item, Expression], Any]] = {
    "jwt": lambda context, *_: context.caller.principal.claims,
    "scopes": lambda context, *_: list(context.caller.principal.scopes),
    "roles": lambda context, *_: list(context.caller.principal.roles),
    "groups": lambda context, *_: list(context.caller.principal.groups),
    "client": lambda context, *_: context.caller.principal.client,
    "issuer": lambda context, *_: context.caller.issuer,
    "server": lambda context, *_: context.caller.server,
    "args": lambda context, *_: context.arguments,
    "source": lambda context, *_: {"address": context.request.source},
    "mcp": _mcp,
    "tool": _tool,
    "request": _request,
}

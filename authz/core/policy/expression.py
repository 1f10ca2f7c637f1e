"""A checked CEL expression and its value for one caller and one request.

Rules of this file:

* Only the CEL value `true` is true. An error, a number, a string, an overrun of the engine's budget is `ERROR`:
  neither true nor false, and the caller decides what is safe (an allow does not hold, a deny does).
* An expression knows which top-level names it reads. What reads only the caller (`CALLER_NAMES`) has one value per
  token and policy; what reads `args` has no value for an item of a list.
* Text becomes an expression in `authz.config.cel.compile`, where its tree is checked; here it is only evaluated.

The engine is cel-cpp by way of cel-expr-python, the same that Envoy runs. No function is implemented in Python.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cel_expr_python import cel

_STRING, _DYN = cel.Type.STRING, cel.Type.DYN
_TREE = cel.Type.Map(_STRING, _DYN)

VARIABLES: Mapping[str, cel.Type] = {
    "jwt": _TREE,
    "scopes": cel.Type.List(_STRING),
    "roles": cel.Type.List(_STRING),
    "client": _STRING,
    "server": _STRING,
    "mcp": _TREE,
    "args": _TREE,
    "request": _TREE,
    "source": _TREE,
}
"""The names an expression may read. `config.cel.compile` checks the fields below `mcp`, `request` and `source`."""

CALLER_NAMES = frozenset({"jwt", "scopes", "roles", "client", "server"})
"""Names whose values follow from the token and the server alone."""

ENGINE = cel.NewEnv(variables=dict(VARIABLES))
"""The environment in which every expression is evaluated."""


class Truth(Enum):
    """The three outcomes of a condition."""

    TRUE = "true"
    FALSE = "false"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One checked condition; two are equal only when they are the same object, so one can key a cache.

    Attributes:
        text: as the operator wrote it.
        reads: top-level names it reads, a subset of `VARIABLES`.
        headers: literal names of request headers it reads; None when it reads headers by a computed name.
        claims: literal names of claims it reads; None when it reads claims by a computed name or as a whole.
        arguments: literal names of arguments it reads; None when it reads arguments by a computed name or as a whole.
        program: the compiled tree.
    """

    text: str
    reads: frozenset[str]
    headers: frozenset[str] | None
    claims: frozenset[str] | None
    arguments: frozenset[str] | None
    program: cel.Expression = field(repr=False)

    def value(self, activation: cel.Activation) -> Truth:
        """Evaluate the condition; no expression and no input makes it raise."""
        try:
            value = self.program.eval(activation).value()
        except RuntimeError:
            return Truth.ERROR
        if value is True:
            return Truth.TRUE
        return Truth.FALSE if value is False else Truth.ERROR


def activate(values: Mapping[str, Any]) -> cel.Activation:
    """Bind values to names for any number of evaluations.

    Args:
        values: name to value, names from `VARIABLES`; a name left out is an error for what reads it.

    Raises:
        RuntimeError: a value cannot be expressed in CEL.
    """
    return ENGINE.Activation(values)

"""A checked CEL expression and its value for one caller and one request.

Rules of this file:

* Only the CEL value `true` is true. An error, a number, a string, an overrun of the engine's budget is `ERROR`:
  neither true nor false, and the caller decides what is safe (an allow does not hold, a deny does).
* An expression knows which top-level names it reads. What reads only the caller (`CALLER_NAMES`) has one value per
  token and policy; what reads `args` has no value for an item of a list.
* Text becomes an expression in `authz.config.cel.compile`, where its tree is checked; here it is only evaluated.

The engine is cel-cpp by way of cel-expr-python, the same that Envoy runs. Only the functions about IP addresses are in
Python, because cel-cpp has none. They are called where an expression asks about an address and nowhere else; what they are
given is a sender's text at times, so its length is bounded before it is read, and no error repeats it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Any, TypeAlias

from cel_expr_python import cel
from cel_expr_python.ext.ext_strings import ExtStrings

from authz.core.wire.confusables import PROTOTYPE_NAMES

_STRING, _DYN = cel.Type.STRING, cel.Type.DYN
_TREE = cel.Type.Map(_STRING, _DYN)

VARIABLES: Mapping[str, cel.Type] = {
    "jwt": _TREE,
    "scopes": cel.Type.List(_STRING),
    "roles": cel.Type.List(_STRING),
    "groups": cel.Type.List(_STRING),
    "client": _STRING,
    "issuer": _STRING,
    "server": _STRING,
    "mcp": _TREE,
    "tool": _TREE,
    "args": _TREE,
    "request": _TREE,
    "source": _TREE,
}
"""The names an expression may read. `config.cel.compile` checks the fields below `mcp`, `request` and `source`."""

CALLER_NAMES = frozenset({"jwt", "scopes", "roles", "groups", "client", "issuer", "server"})
"""Names whose values follow from the token and the server alone."""

_LONGEST_ADDRESS = 64
"""Characters of the longest address, with the zone of a link-local one."""


def is_ip(text: str) -> bool:
    """Return whether a text is an IP address."""
    try:
        _address(text)
    except ValueError:
        return False
    return True


def in_network(network: str, text: str) -> bool:
    """Return whether an address is in a network. One that is written as IPv4 in IPv6 (`::ffff:10.0.0.1`) is the IPv4 one.

    Raises:
        ValueError: the text is no address. Neither answer would be safe, as the test may stand behind a `!`.
    """
    return _address(text) in read_network(network)


@lru_cache(maxsize=256)
def read_network(text: str) -> IPv4Network | IPv6Network:
    """Return a network; host bits are ignored.

    Raises:
        ValueError: the text is none; it says what to write.
    """
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        msg = "write one as 10.0.0.0/8 or 2001:db8::/32"
        raise ValueError(msg) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        msg = "write it as an IPv4 network, as addresses of it are"
        raise ValueError(msg)
    return network


def _address(text: str) -> IPv4Address | IPv6Address:
    if len(text) > _LONGEST_ADDRESS:
        raise ValueError(_NO_ADDRESS)
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


_NO_ADDRESS = "this is no IP address"
_NETWORK = cel.CelExtension(
    "network",
    [
        cel.FunctionDecl(
            "isIP", [cel.Overload("is_ip", cel.Type.BOOL, [_STRING], is_member=False, impl=is_ip)]
        ),
        cel.FunctionDecl(
            "inNetwork",
            [cel.Overload("in_network", cel.Type.BOOL, [_STRING, _STRING], is_member=False, impl=in_network)],
        ),
    ],
)
"""What the engine knows of them; `config.cel.rewrite` makes `inNetwork` of `cidr(...).containsIP(...)`."""

EXTENSIONS = (ExtStrings(), _NETWORK)
"""What expressions may use beyond CEL's standard functions; `config.cel.functions` lists what is open to operators."""

ENGINE = cel.NewEnv(variables=dict(VARIABLES), extensions=list(EXTENSIONS))
"""The environment in which every expression is evaluated."""


Activation: TypeAlias = cel.Activation
"""Values bound to names."""


class Truth(Enum):
    """The three outcomes of a condition."""

    TRUE = "true"
    FALSE = "false"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class ArgumentPaths:
    """The places in a call's arguments that an expression reads by literal keys: `args.a.b` reads `b` of `a`.

    Attributes:
        paths: the keys that lead to each place; what stands there is read as a whole.
        names: the first keys, without those that no object that is read may have.
        below: for each first key what is read there; None if all of it is.
    """

    paths: frozenset[tuple[str, ...]]
    names: frozenset[str] = field(compare=False, repr=False)
    below: "Mapping[str, ArgumentPaths | None]" = field(compare=False, repr=False)

    @classmethod
    def of(cls, paths: Iterable[tuple[str, ...]]) -> "ArgumentPaths":
        """Collect paths, without those that lead into what another reads as a whole."""
        whole = frozenset(paths)
        kept = frozenset(path for path in whole if not any(path[:end] in whole for end in range(len(path))))
        first = frozenset(path[0] for path in kept)
        return cls(kept, first - PROTOTYPE_NAMES, {name: cls._below(kept, name) for name in first})

    @classmethod
    def _below(cls, paths: frozenset[tuple[str, ...]], name: str) -> "ArgumentPaths | None":
        rest = [path[1:] for path in paths if path[0] == name]
        return cls.of(rest) if all(rest) else None


WORST_CASE: Mapping[str, bool] = MappingProxyType(
    {"readOnly": False, "destructive": True, "idempotent": False, "openWorld": True}
)
"""What counts for a tool whose annotations nobody approved (MCP, ToolAnnotations, has the same defaults)."""


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """One checked condition; two are equal only when they are the same object, so one can key a cache.

    Attributes:
        text: as the operator wrote it.
        reads: top-level names it reads, a subset of `VARIABLES`.
        headers: literal names of request headers it reads; None when it reads headers by a computed name.
        claims: literal names of claims it reads; None when it reads claims by a computed name or as a whole.
        arguments: the arguments it reads; None when it reads one by a computed name, or all as a whole.
        program: the compiled tree.
        hints: the annotations of tools that the server's lock approves, by name; what is not there is the worst case.
    """

    text: str
    reads: frozenset[str]
    headers: frozenset[str] | None
    claims: frozenset[str] | None
    arguments: ArgumentPaths | None
    program: cel.Expression = field(repr=False)
    hints: Mapping[str, Mapping[str, bool]] = field(default_factory=dict, repr=False)

    def value(self, activation: Activation) -> Truth:
        """Evaluate the condition; no expression and no input makes it raise."""
        try:
            value = self.program.eval(activation).value()
        except (RuntimeError, MemoryError):  # memory: texts that an expression multiplies
            return Truth.ERROR
        if value is True:
            return Truth.TRUE
        return Truth.FALSE if value is False else Truth.ERROR


def activate(values: Mapping[str, Any]) -> Activation:
    """Bind values to names for any number of evaluations.

    Args:
        values: name to value, names from `VARIABLES`; a name left out is an error for what reads it.

    Raises:
        RuntimeError: a value cannot be expressed in CEL.
    """
    return ENGINE.Activation(values)

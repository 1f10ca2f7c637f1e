"""The functions that an expression may call: one closed list, which docs/policy.md shows.

A function that is not listed is refused by its name, with the spelling that says the same here where there is one. That
comes before the type check, which would complain of the function's arguments instead.

Rules of this module:

* What a caller sends must not decide how much is written. So the texts that `replace` inserts, that `join` puts between
  and that `split` looks for are literals of the operator: 32 kB of arguments otherwise become a gigabyte.
* Nor how often a long text is written: in a loop over what a caller sends, these functions are for the loop's own
  element, and `join` is not for a list that repeats another argument. 32 kB otherwise take 12 seconds.
* `default`, `coalesce` and `cidr(...).containsIP(...)` exist on the tree alone (`rewrite`).
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from authz.config.cel.tree import Node, Parsed, children, nodes, position
from authz.config.cel.typecheck import ExpressionError

FUNCTIONS: Mapping[str, str] = MappingProxyType(
    {
        "size": "size(roles) > 0 && size(client) > 0 && size(jwt) > 0 && roles.size() > 0",
        "contains": 'client.contains("cl") && roles.contains("admin") && jwt.contains("sub")',
        "startsWith": 'client.startsWith("c")',
        "endsWith": 'client.endsWith("i")',
        "matches": 'client.matches("^[a-z]+$") && matches(client, "cli")',
        "has": "has(jwt.sub) && !has(jwt.absent)",
        "exists": 'roles.exists(role, role == "admin")',
        "exists_one": 'roles.exists_one(role, role == "admin")',
        "all": 'roles.all(role, role != "")',
        "filter": 'size(roles.filter(role, role == "admin")) == 1',
        "map": '"ADMIN" in roles.map(role, role.upperAscii())',
        "lowerAscii": '"ABC".lowerAscii() == "abc"',
        "upperAscii": 'client.upperAscii() == "CLI"',
        "trim": '" a ".trim() == "a"',
        "charAt": 'client.charAt(0) == "c"',
        "indexOf": 'client.indexOf("l") == 1',
        "lastIndexOf": 'client.lastIndexOf("i") == 2',
        "substring": 'client.substring(0, 1) == "c" && client.substring(1) == "li"',
        "split": '"a,b".split(",") == ["a", "b"]',
        "join": 'roles.join(" ") == "admin"',
        "replace": 'client.replace("l", "L") == "cLi"',
        "reverse": 'client.reverse() == "ilc"',
        "default": 'default(jwt.absent, "none") == "none" && default(jwt["sub"], "none") != "none"',
        "coalesce": 'coalesce(jwt.absent, jwt.sub, "none") != "none"',
        "isIP": "isIP(source.address) && !isIP(client)",
        "cidr": 'cidr("10.0.0.0/8").containsIP(source.address)',
        "containsIP": 'cidr("10.0.0.0/8").containsIP(source.address) && cidr("2001:db8::/32").containsIP("2001:DB8::1")',
        "ip": '!cidr("192.168.0.0/16").containsIP(ip(source.address))',
        "type": "type(client) == string && type(jwt) == map",
        "string": 'string(1) == "1"',
        "int": 'int("1") == 1',
        "uint": 'uint("1") == 1u',
        "double": 'double("1.5") == 1.5',
        "bool": 'bool("true")',
        "bytes": 'size(bytes("ab")) == 2',
        "dyn": 'dyn(client) == "cli"',
        "timestamp": 'timestamp("2026-01-02T03:04:05Z") < timestamp("2027-01-01T00:00:00Z")',
        "duration": 'duration("1h") < duration("90m")',
        "getFullYear": 'timestamp("2026-01-02T03:04:05Z").getFullYear() == 2026',
        "getMonth": 'timestamp("2026-01-02T03:04:05Z").getMonth() == 0',
        "getDate": 'timestamp("2026-01-02T03:04:05Z").getDate() == 2',
        "getDayOfMonth": 'timestamp("2026-01-02T03:04:05Z").getDayOfMonth() == 1',
        "getDayOfWeek": 'timestamp("2026-01-02T03:04:05Z").getDayOfWeek() == 5',
        "getDayOfYear": 'timestamp("2026-01-02T03:04:05Z").getDayOfYear() == 1',
        "getHours": 'timestamp("2026-01-02T03:04:05Z").getHours("Europe/Berlin") == 4',
        "getMinutes": 'timestamp("2026-01-02T03:04:05Z").getMinutes() == 4',
        "getSeconds": 'timestamp("2026-01-02T03:04:05Z").getSeconds() == 5',
        "getMilliseconds": 'timestamp("2026-01-02T03:04:05.006Z").getMilliseconds() == 6',
    }
)
"""Each function with an expression that uses it and is true for the caller of `tests/config/cel/test_functions.py`."""

_VALUES = "claims and arguments are values already: read their fields"
_HASH = "an expression computes no digests"
_RANDOM = "a decision does not depend on chance"
_MAPS = "compare the members one by one"
_BITS = "use + - * / % and comparisons"
_ADDRESS = 'only isIP(…) and cidr("NETWORK").containsIP(source.address) test addresses'
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "json": _VALUES,
        "toJson": _VALUES,
        "unvalidatedJwtPayload": "jwt holds the claims of the token, which was verified",
        "with": "repeat the text, or name a condition in define",
        "bind": "repeat the text, or name a condition in define",
        "variables": "read the names that docs/policy.md lists",
        "mapValues": _MAPS,
        "filterKeys": _MAPS,
        "merge": _MAPS,
        "flatten": "it is for logs",
        "flattenRecursive": "it is for logs",
        "encode": "compare the plain text",
        "decode": "compare the encoded text",
        "sha1.encode": _HASH,
        "sha256.encode": _HASH,
        "md5.encode": _HASH,
        "random": _RANDOM,
        "uuid": _RANDOM,
        "fail": "write false",
        "regexReplace": 'test with matches("…"), or replace plain text with replace("…", "…")',
        "format": "join texts with +",
        "quote": "compare the text itself",
        "stripPrefix": 'test with startsWith("…"), or cut with substring(…)',
        "stripSuffix": 'test with endsWith("…"), or cut with substring(…)',
        "max": "compare with > and ?:",
        "min": "compare with < and ?:",
        **{
            f"math.{name}": "compare with > < and ?:"
            for name in ("greatest", "least", "abs", "sign", "ceil", "floor", "round", "trunc")
        },
        **{f"math.{name}": _BITS for name in ("sqrt", "bitAnd", "bitOr", "bitXor", "bitNot")},
        **{f"math.{name}": _BITS for name in ("bitShiftLeft", "bitShiftRight")},
        **{f"math.{name}": "JSON has no such numbers" for name in ("isInf", "isNaN", "isFinite")},
        **dict.fromkeys(("containsCIDR", "masked", "prefixLength", "family"), _ADDRESS),
        **dict.fromkeys(("isUnspecified", "isLoopback", "isGlobalUnicast"), _ADDRESS),
        **dict.fromkeys(("isLinkLocalMulticast", "isLinkLocalUnicast"), _ADDRESS),
        "redacted": "Authorization and Cookie are not visible; every other header is",
        "raw": "a header that may stand once is refused if it is repeated",
        "cookie": "cookies are not visible to rules",
        "query": "the query is not visible to rules",
        "addQuery": "the query is not visible to rules",
        "setQuery": "the query is not visible to rules",
        "now": "expressions do not know the time; let the token's lifetime end the access",
    }
)
"""Functions of agentgateway and of CEL's extensions that are not to be had here, each with our spelling."""

_LITERAL_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {"replace": "texts", "join": "text between", "split": "text that separates"}
)
_WRITES = frozenset({*_LITERAL_ARGUMENTS, "reverse", "lowerAscii", "upperAscii"})
_SENT = frozenset({"args", "request"})
"""What a caller sends, of any length that the limits allow."""
_IS_NAME = re.compile(r"[A-Za-z]")
_INTERNAL = "@"


def check_functions(parsed: Parsed, listed: Iterable[Node]) -> None:
    """Refuse calls of functions that are not listed, and of listed ones that let a caller choose the cost.

    Raises:
        ExpressionError: at the first such call.
    """
    for node in listed:
        call = node.call_expr
        name = call.function
        if not _IS_NAME.match(name):
            continue
        if name not in FUNCTIONS:
            raise _unknown(parsed, node, _qualified(node))
        if name in _LITERAL_ARGUMENTS and not all(map(_is_literal, call.args)):
            message = f"the {_LITERAL_ARGUMENTS[name]} of {name} must be in quotes, so that no caller decides what it costs"
            raise ExpressionError(message, *position(parsed, node))
    _check_loops(parsed)


def _check_loops(parsed: Parsed) -> None:
    """Refuse what writes one text as often as a caller's list is long."""
    inside: list[tuple[Node, frozenset[str]]] = [(parsed.expr, frozenset())]
    while inside:
        node, elements = inside.pop()
        call, loop = node.call_expr, node.comprehension_expr
        if call.function in _WRITES and _repeats(call, elements):
            message = f"{call.function} here writes one text as often as a caller's list is long: use it on the element of the loop"
            raise ExpressionError(message, *position(parsed, node))
        if node.WhichOneof("expr_kind") != "comprehension_expr":
            inside += ((below, elements) for below in children(node))
            continue
        inside.append((loop.iter_range, elements))
        is_sent = elements or not _names(loop.iter_range).isdisjoint(_SENT)
        own = elements | {loop.iter_var} if is_sent else elements
        inside += ((below, own) for below in (loop.loop_condition, loop.loop_step, loop.result))


def _repeats(call: Any, elements: frozenset[str]) -> bool:
    """Return whether a call that writes a text is about the same one for each element of a caller's list."""
    if call.function == "join" and _is_repeated(call.target):
        return True
    read = _names(call.target) if elements else set()
    return bool(read) and read.isdisjoint(elements) and not read.isdisjoint(_SENT)


def _is_repeated(joined: Node) -> bool:
    """Return whether a list is made in a loop that reads what a caller sends beside its elements."""
    loops = (
        node.comprehension_expr
        for node in nodes(joined)
        if node.WhichOneof("expr_kind") == "comprehension_expr"
    )
    return any(not _names(loop.loop_step).isdisjoint(_SENT) for loop in loops)


def _names(node: Node) -> set[str]:
    """Return the names that stand in a part of an expression."""
    return {each.ident_expr.name for each in nodes(node) if each.WhichOneof("expr_kind") == "ident_expr"}


def _qualified(node: Node) -> str:
    """Return the name of a function with that of its namespace, if it has one that is listed so."""
    call = node.call_expr
    name = f"{call.target.ident_expr.name}.{call.function}" if call.HasField("target") else call.function
    return name if name in ELSEWHERE else str(call.function)


def _unknown(parsed: Parsed, node: Node, name: str) -> ExpressionError:
    cure = ELSEWHERE.get(name, "docs/policy.md lists the functions there are")
    return ExpressionError(f"there is no function {name}: {cure}", *position(parsed, node))


def _is_literal(node: Node) -> bool:
    return bool(node.WhichOneof("expr_kind") == "const_expr")

"""The JSON-RPC 2.0 envelope that every MCP message comes in: its members, its id and its outcome.

Rules of this module:

* A request whose id is null is neither a request nor a notification to all readers, so null is no id.
* An integer id of any size is kept as it is; only its digits are bounded.
* The id of a refused body is looked for in a body of few members only, and only if none of them could be taken for another.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.json import Decoder

from authz.core.reasons import Reason
from authz.core.request import DEFAULT_LIMITS, Limits, RequestId
from authz.core.wire.confusables import Budget, OverBudgetError, imitates, misleads
from authz.core.wire.strict_json import InexactNumber, StrictJSONError, loads_marked

ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


def read_id(value: Mapping[str, Any], limits: Limits) -> tuple[RequestId, bool]:
    """Return the id and whether it is acceptable: absent, an integer or a string, and not too long."""
    if "id" not in value:
        return None, True
    request_id = value["id"]
    if isinstance(request_id, str):
        return (request_id, True) if len(request_id) <= limits.name else (None, False)
    if isinstance(request_id, InexactNumber):
        return _long_integer(request_id.literal, limits)
    if isinstance(request_id, bool) or not isinstance(request_id, int):
        return None, False
    return request_id, True


_ID_DIGITS = 2048
"""Digits of the longest integer id; Python converts no more than 4300, and takes time in their square."""


def _long_integer(literal: str, limits: Limits) -> tuple[RequestId, bool]:
    """Return an integer of many digits, which Python keeps and writes as it was sent, and whether it is one."""
    is_one = len(literal) <= min(limits.name, _ID_DIGITS) and literal.removeprefix("-").isdigit()
    return (int(literal), True) if is_one else (None, False)


def envelope_flaw(value: Mapping[str, Any], limits: Limits, budget: Budget) -> Reason | None:
    """Return what is wrong with the envelope, None when nothing is.

    Raises:
        OverBudgetError: it has more foreign keys than are looked at.
    """
    method = value.get("method", "")
    sound = (
        value.get("jsonrpc") == "2.0"
        and (ENVELOPE.issuperset(value) or not misleads(value, ENVELOPE, budget))
        and isinstance(method, str)
        and len(method) <= limits.name
        and ("method" not in value or (method and "result" not in value and "error" not in value))
    )
    return None if sound else Reason.BAD_MESSAGE


def load_body(body: bytes, limits: Limits) -> Any:
    """Read a body; a number that a double does not hold is marked.

    Raises:
        StrictJSONError: it is no strict JSON.
        OverBudgetError: it has more values or keys than are read.
    """
    return loads_marked(body, max_depth=limits.depth, nodes=limits.nodes, keys=limits.keys)


_MAX_MEMBERS = 16
"""Most members of a refused body that is opened for its id: their names are looked at once more, without a budget."""


def peek_id(body: bytes, limits: Limits | None = None) -> RequestId:
    """Return the id to answer a request with whose message is not read; None if there is none.

    Only the outermost object is opened, so that a flaw further in, which may be why the body is refused, hides no id.
    """
    limits = limits or DEFAULT_LIMITS
    try:
        members = _open_few_members(body)
        if imitates(members, ENVELOPE):
            return None
        value = {"id": load_body(bytes(members["id"]), limits)} if "id" in members else {}
    except (
        *(StrictJSONError, OverBudgetError),
        *(msgspec.DecodeError, UnicodeError, RecursionError),
    ):
        return None
    return read_id(value, limits)[0]


class _Name(str):
    """The name of a member, as a type of its own so that the decoder asks about each before it reads on."""

    __slots__ = ()


def _open_few_members(body: bytes) -> dict[str, Raw]:
    """Open an object of which nothing is known, not even that its members are few.

    Raises:
        msgspec.DecodeError: it is no object, has too many members, or a name occurs twice.
    """
    seen: set[str] = set()

    def check(_type: object, name: str) -> _Name:
        if name in seen or len(seen) == _MAX_MEMBERS:
            msg = "a name occurs twice, or there are too many"
            raise ValueError(msg)  # msgspec makes a ValidationError of it
        seen.add(name)
        return _Name(name)

    members = Decoder(dict[_Name, Raw], dec_hook=check).decode(body)
    return {str(name): value for name, value in members.items()}


def has_one_outcome(value: Mapping[str, Any]) -> bool:
    """Return whether there is a result or an error and not both; beside the other, null is none."""
    if "result" in value and "error" in value:
        return (value["result"] is None) != (value["error"] is None)
    return "result" in value or "error" in value

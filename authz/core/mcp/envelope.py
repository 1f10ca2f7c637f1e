"""The JSON-RPC 2.0 envelope that every MCP message comes in: its members and its id."""

from collections.abc import Mapping
from typing import Any

from authz.core.decision import RequestId
from authz.core.limits import DEFAULT_LIMITS, Limits
from authz.core.reasons import Reason
from authz.core.wire.confusables import imitates
from authz.core.wire.strict_json import StrictJSONError, loads

_ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})


def read_id(value: Mapping[str, Any], limits: Limits) -> tuple[RequestId, bool]:
    """Give the id and whether it is acceptable: absent, an integer or a string, and not too long."""
    if "id" not in value:
        return None, True
    request_id = value["id"]
    if isinstance(request_id, bool) or not isinstance(request_id, int | str):
        return None, False
    if isinstance(request_id, str) and len(request_id) > limits.name:
        return None, False
    return request_id, True


def envelope_flaw(value: Mapping[str, Any], limits: Limits) -> Reason | None:
    """Say what is wrong with the envelope, None when nothing is."""
    method = value.get("method", "")
    sound = (
        value.get("jsonrpc") == "2.0"
        and not imitates(value, _ENVELOPE)
        and isinstance(method, str)
        and len(method) <= limits.name
        and ("method" not in value or (method and "result" not in value and "error" not in value))
    )
    return None if sound else Reason.BAD_MESSAGE


def peek_id(body: bytes, limits: Limits | None = None) -> RequestId:
    """Give the id to answer a request with that is refused before its message is read; None when there is none."""
    limits = limits or DEFAULT_LIMITS
    try:
        value = loads(body, max_depth=limits.depth)
    except StrictJSONError:
        return None
    return read_id(value, limits)[0] if isinstance(value, dict) else None

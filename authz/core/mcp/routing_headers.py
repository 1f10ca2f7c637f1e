"""The MCP headers that repeat parts of the body, and whether they agree with it (SEP-2243)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from authz.core.mcp.methods import METHODS

_SENTINEL_START, _SENTINEL_END = "=?base64?", "?="


def decode_header_value(value: str) -> str | None:
    """Decode a header that mirrors a body value; None when its base64 form is not canonical UTF-8."""
    if not (value.startswith(_SENTINEL_START) and value.endswith(_SENTINEL_END)):
        return value
    coded = value[len(_SENTINEL_START) : -len(_SENTINEL_END)]
    try:
        raw = base64.b64decode(coded, validate=True)
        text = raw.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return text if base64.b64encode(raw).decode("ascii") == coded else None


def headers_agree(
    headers: Mapping[str, str],
    method: str,
    params: Mapping[str, Any],
    *,
    required: bool,
) -> bool:
    """Return whether `Mcp-Method` and `Mcp-Name` say what the body says.

    Args:
        headers: the request's headers by lower-case name.
        method: the body's method.
        params: the body's params.
        required: whether an absent header is a disagreement (the modern era) or not (before).
    """
    sent = headers.get("mcp-method")
    if sent != method and (required or sent is not None):
        return False
    row = METHODS.get(method)
    if row is None or row.mirror is None:
        return True
    sent = headers.get("mcp-name")
    if sent is None:
        return not required
    value = params.get(row.mirror)
    return value is not None and decode_header_value(sent) == value

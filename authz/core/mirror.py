"""The MCP headers that repeat parts of the body, and whether they agree with it (SEP-2243)."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from authz.core.methods import METHODS

_SENTINEL_START, _SENTINEL_END = "=?base64?", "?="


def decode_mirrored(value: str) -> str | None:
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
    """Tell whether `Mcp-Method` and `Mcp-Name` say what the body says.

    Args:
        headers: the request's headers by lower-case name.
        method: the body's method.
        params: the body's params.
        required: whether an absent header is a disagreement (the modern era) or not (before).
    """
    mirrors: list[tuple[str, object, Callable[[str], str | None]]] = [("mcp-method", method, str)]
    row = METHODS.get(method)
    if row is not None and row.mirror is not None:
        mirrors.append(("mcp-name", params.get(row.mirror), decode_mirrored))
    for name, value, read in mirrors:
        sent = headers.get(name)
        if sent is None and not required:
            continue
        if sent is None or value is None or read(sent) != value:
            return False
    return True

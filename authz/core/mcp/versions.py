"""MCP protocol versions, and the era that a declared one belongs to.

A version outside the four handshake versions is held to the modern rules, whoever names it. So an unknown version
meets the stricter checks first, and is refused after them: what a message of a version that is not known here means
to a server cannot be judged, for a later version may name a tool in another place.
"""

HANDSHAKE_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
MODERN_VERSIONS = ("2026-07-28",)
"""Versions with per-request metadata, the oldest first; what a refused client is told it may use."""
ASSUMED_VERSION = "2025-03-26"
"""The version of a legacy request without `MCP-Protocol-Version` (2025-06-18, transports)."""


def is_modern(version: str) -> bool:
    """Tell whether a declared version is held to the rules of 2026-07-28; an undeclared one (empty) is not."""
    return bool(version) and version not in HANDSHAKE_VERSIONS


def is_known(version: str) -> bool:
    """Tell whether messages of a declared version can be judged; an undeclared one (empty) is assumed to be old."""
    return not is_modern(version) or version in MODERN_VERSIONS

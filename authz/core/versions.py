"""MCP protocol versions, and the era that a declared one belongs to.

A version outside the four handshake versions is held to the modern rules, whoever names it. So an unknown version
meets the stricter checks, and the server itself says whether it supports it.
"""

HANDSHAKE_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"})
ASSUMED_VERSION = "2025-03-26"
"""The version of a legacy request without `MCP-Protocol-Version` (2025-06-18, transports)."""


def is_modern(version: str) -> bool:
    """Tell whether a declared version is held to the rules of 2026-07-28; an undeclared one (empty) is not."""
    return bool(version) and version not in HANDSHAKE_VERSIONS

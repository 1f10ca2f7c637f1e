"""Envoy's version: how the rendered configuration sends it to the service, and the oldest one to use."""

_VERSION = "xds.node.user_agent_build_version.version"
ATTRIBUTES = tuple(f"{_VERSION}.{part}" for part in ("major_number", "minor_number", "patch"))
"""Attributes of ext_proc that make up the version, most significant first."""
OLDEST = (1, 38, 4)
"""Earlier ext_authz has published vulnerabilities."""


def read(text: str) -> tuple[int, ...]:
    """Return the numbers of a version such as 1.40.0; () for a text that is none."""
    parts = text.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()

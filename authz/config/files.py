"""Files that a user writes, read whole."""

import errno
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from authz.config.problems import mistake

_MAX_BYTES = 16 * 1024 * 1024


class Files:
    """Reads files, from disk or as they were once read, and keeps what it read.

    Attributes:
        content: what was read, by path.
    """

    def __init__(self, kept: Mapping[str, bytes] | None = None) -> None:
        """Read from disk, or with `kept` those files and no others."""
        self._kept = kept
        self.content: dict[str, bytes] = {}

    def read(self, path: str, max_bytes: int = _MAX_BYTES) -> bytes:
        """Return the content of a file, or its first `max_bytes + 1` bytes if it is larger.

        Raises:
            OSError: it cannot be read.
        """
        self.content[path] = content = self._content(path, max_bytes)
        return content

    def read_text(self, path: str, max_bytes: int = _MAX_BYTES) -> str:
        """Return the text of a file.

        Raises:
            ConfigError: it cannot be read, is larger than `max_bytes`, or is not UTF-8.
        """
        try:
            raw = self.read(path, max_bytes)
        except OSError as error:
            raise mistake(path, f"cannot be read: {error.strerror}") from None
        if len(raw) > max_bytes:
            raise mistake(path, f"larger than {max_bytes} bytes")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise mistake(path, "not UTF-8") from None

    def _content(self, path: str, max_bytes: int) -> bytes:
        if self._kept is None:
            with Path(path).open("rb") as file:
                return file.read(max_bytes + 1)
        if path not in self._kept:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self._kept[path]


def read_text(path: str, max_bytes: int = _MAX_BYTES) -> str:
    """Return the text of a file on disk.

    Raises:
        ConfigError: it cannot be read, is larger than `max_bytes`, or is not UTF-8.
    """
    return Files().read_text(path, max_bytes)


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

"""Secret keys that a policy names and never contains: because people show and compare that file, and name it by its digest.

A key is one line of text, so that a file, an environment variable and a Kubernetes Secret can hold the same key. No problem
quotes a key.
"""

import re

from authz.config.files import Files
from authz.config.problems import mistake
from authz.core.identity.session import MIN_KEY

CURE = "make one with: openssl rand -base64 32"
_MAX_KEY = 1024
_MIN_DIFFERENT = 8
"""Fewest different characters in a key; a random key has more, a typed one often fewer."""
_LINE = re.compile(r"[\x21-\x7e]+")


def read_key(path: str, files: Files, what: str) -> bytes:
    """Return the key in a file.

    Args:
        path: of the file.
        files: reads it.
        what: names the kind of key in the text of the error.

    Raises:
        ValueError: there is no usable key in it; the text quotes nothing of the file.
    """
    try:
        content = files.read(path, _MAX_KEY)
    except OSError as error:
        msg = f"no {what} can be read from {path}: {error.strerror}"
        raise ValueError(msg) from None
    try:
        return _checked(content.decode("latin-1").rstrip("\r\n"))
    except ValueError as error:
        msg = f"no {what} can be read from {path}: {error}"
        raise ValueError(msg) from None


def read_key_file(flag: str, path: str) -> bytes:
    """Return the key in a file that a flag names.

    Raises:
        ConfigError: there is no usable key in it.
    """
    try:
        return read_key(path, Files(), "key")
    except ValueError as error:
        raise mistake(flag, str(error), CURE) from None


def key_from_environment(key: str, policy: bytes) -> bytes:
    """Return a key that an environment variable gave to the policy file of this content.

    Raises:
        ValueError: it is unusable, or it stands in the file itself.
    """
    checked = _checked(key)
    if checked in policy:
        msg = "a key must not be in the policy file: write ${NAME}, or name a file"
        raise ValueError(msg)
    return checked


def _checked(key: str) -> bytes:
    """Return a key's bytes.

    Raises:
        ValueError: it is not text, too short, too long, or obviously not random.
    """
    flaws = (
        (not _LINE.fullmatch(key), "a key is one line of visible ASCII"),
        (len(key) < MIN_KEY, f"a key has at least {MIN_KEY} characters"),
        (len(key) > _MAX_KEY, f"a key has at most {_MAX_KEY} characters"),
        (len(set(key)) < _MIN_DIFFERENT, "a key is random, not typed"),
    )
    for wrong, msg in flaws:
        if wrong:
            raise ValueError(msg)
    return key.encode()

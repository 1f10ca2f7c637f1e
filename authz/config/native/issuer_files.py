"""What the issuers of a native file keep in files of their own: key sets.

They are read with the policy and watched like it, so a key set that changes is loaded again.
"""

from dataclasses import replace
from pathlib import Path as FilePath

from authz.config.files import Files
from authz.config.native.model import PolicyFile
from authz.config.problems import ConfigError, Problem
from authz.config.settings import IssuerKeys, Settings
from authz.config.yaml_document import Document
from authz.core.identity.jwks import KeySetError, read_key_set

_MAX_BYTES = 262_144
_CURE = "give a JWK Set with public keys (RFC 7517)"


def with_key_sets(settings: Settings, file: PolicyFile, document: Document, files: Files) -> Settings:
    """Add the key sets that issuers name by file.

    Raises:
        ConfigError: one cannot be read, or holds no usable key.
    """
    keys, problems = dict(settings.keys), list[Problem]()
    for name, model in file.issuers.items():
        if model.jwks_file is None:
            continue
        path = str(FilePath(document.file).parent / model.jwks_file)
        try:
            keys[model.issuer] = IssuerKeys(issuer=model.issuer, inline=_key_set(path, files))
        except ValueError as error:
            problems.append(document.problem(("issuers", name, "jwks_file"), str(error), _CURE))
    if problems:
        raise ConfigError(problems)
    return replace(settings, keys=keys)


def _key_set(path: str, files: Files) -> bytes:
    """Return a key set's bytes.

    Raises:
        ValueError: it cannot be read or has no usable key; the text quotes nothing of it.
    """
    try:
        content = files.read(path, _MAX_BYTES)
    except OSError as error:
        msg = f"no key set can be read from {path}: {error.strerror}"
        raise ValueError(msg) from None
    try:
        usable = len(content) <= _MAX_BYTES and bool(read_key_set(content).keys)
    except KeySetError:
        usable = False
    if not usable:
        msg = f"no usable key in {path}"
        raise ValueError(msg)
    return content

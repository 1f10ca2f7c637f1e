"""A policy file of either form -> settings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from authz.config.build import build
from authz.config.document import Document, read_documents
from authz.config.kubernetes import build_kubernetes, is_kubernetes
from authz.config.native import PolicyFile
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Settings
from authz.config.validation import validate

_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line adds to Kubernetes documents, which cannot say it themselves.

    Attributes:
        resource: the public URL of the server, empty to follow the request's host.
        jwks: `iss` to the URL of its key set, in place of what a document names.
    """

    resource: str = ""
    jwks: Mapping[str, str] = field(default_factory=dict)


def load(
    path: str,
    *,
    environment: Mapping[str, str] | None = None,
    options: Options | None = None,
) -> Settings:
    """Read a policy file.

    Args:
        path: a native file, or Kubernetes documents with an AgentgatewayPolicy.
        environment: values for `${NAME}`; the process's own when None.
        options: what the command line adds.

    Raises:
        ConfigError: the file cannot be used; nothing of it is.
    """
    text = _read(path)
    documents = read_documents(text, path, os.environ if environment is None else environment)
    options = options or Options()
    if any(is_kubernetes(document) for document in documents):
        return build_kubernetes(documents, text, resource=options.resource, jwks=options.jwks)
    if options.resource or options.jwks:
        message, cure = "is for Kubernetes documents", "write resource and jwks_uri into the file"
        flag = "--resource" if options.resource else "--jwks"
        raise ConfigError([Problem(file=flag, message=message, cure=cure)])
    return _native(documents, path, text)


def _read(path: str) -> str:
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


def _native(documents: list[Document], path: str, text: str) -> Settings:
    if len(documents) != 1:
        message = "empty" if not documents else "holds several documents"
        cure = (
            "start from k8s/ or the README's example"
            if not documents
            else "keep one, or use Kubernetes documents"
        )
        raise ConfigError([Problem(file=path, message=message, cure=cure)])
    return build(validate(PolicyFile, documents[0]), documents[0], text)

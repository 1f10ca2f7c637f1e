"""A policy file of either form, and the files it names -> settings."""

import gc
import os
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from authz.config.files import Files
from authz.config.leftovers import Leftovers
from authz.config.native.audit import with_audit
from authz.config.native.build import build
from authz.config.native.define import with_lists
from authz.config.native.issuer_files import with_introspection, with_key_sets
from authz.config.native.locks import read_server_locks
from authz.config.native.model import ListenTls, PolicyFile
from authz.config.native.sessions import with_key_files, with_sessions
from authz.config.problems import ConfigError, mistake
from authz.config.settings import GrpcTls, Settings
from authz.config.validation import validate
from authz.config.yaml_document import Document, is_foreign, is_kubernetes, read_documents

SESSION_KEY = "--session-key-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What the command line adds to Kubernetes documents, which have no place for it.

    Attributes:
        resource: the public URL of the server; if empty, it follows the host of each request.
        jwks: issuer to the URL of its key set, which replaces the document's.
        allow_anonymous: whether a document may admit callers without a valid token.
        session_keys: files with the keys that bind session ids; the first signs.
    """

    resource: str = ""
    jwks: Mapping[str, str] = field(default_factory=dict)
    allow_anonymous: bool = False
    session_keys: tuple[str, ...] = ()


def load(
    path: str,
    *,
    environment: Mapping[str, str] | None = None,
    options: LoadOptions | None = None,
    kept: Mapping[str, bytes] | None = None,
) -> Settings:
    """Read a policy file.

    Args:
        path: a native file, or Kubernetes documents with an AgentgatewayPolicy.
        environment: values for `${NAME}`; the process's own when None.
        options: what the command line adds.
        kept: `Settings.files` of settings that were loaded before, to load them again whatever is on disk now.

    Raises:
        ConfigError: the file cannot be used; no part of it is.
    """
    reading = _Reading(os.environ if environment is None else environment, Files(kept), Leftovers())
    with _uncollected():
        try:
            settings = _load(path, options or LoadOptions(), reading)
        except ConfigError as error:
            error.__traceback__ = error.__context__ = None  # they hold what is to be freed
            raise
        finally:
            reading.leftovers.free()
    return replace(settings, files=reading.files.content)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What reading a file and its candidate shares."""

    environment: Mapping[str, str]
    files: Files
    leftovers: Leftovers


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector from visiting again and again what is being built: a fifth of the time for ten thousand rules."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _load(path: str, options: LoadOptions, reading: _Reading, main: str = "") -> Settings:
    """Read a file, or with `main` the candidate that the main file names."""
    files, leftovers = reading.files, reading.leftovers
    text = files.read_text(path)
    documents = read_documents(text, path, reading.environment)
    leftovers.values += [document.value for document in documents]
    leftovers.entries += [document.places for document in documents]
    if any(is_foreign(document) for document in documents):
        settings = _agentgateway(path, documents, text, options, files)
        return with_key_files(settings, SESSION_KEY, options.session_keys, files)
    _no_options(options)
    document, definitions = with_lists(_only(documents, path))
    file = validate(PolicyFile, document)
    leftovers.values += [document.value, file]
    locks = read_server_locks(file, document, files)
    settings = with_sessions(
        build(file, document, text, locks, definitions), file.sessions, file.streams, document, files
    )
    settings = with_audit(settings, file.audit, document, files)
    settings = _with_authorities(settings, file, document, files)
    settings = with_key_sets(settings, file, document, files)
    settings = with_introspection(settings, file, document, files)
    settings = replace(settings, tls=_tls(path, file.listen.tls))
    if file.candidate is None:
        return settings
    if main:
        message, cure = f"is itself the candidate of {main}", "remove this key"
        raise ConfigError([document.problem(("candidate",), message, cure)])
    candidate = _load(_beside(path, file.candidate), LoadOptions(), reading, path)
    return _with_candidate(settings, candidate, document)


def _agentgateway(
    path: str, documents: list[Document], text: str, options: LoadOptions, files: Files
) -> Settings:
    """Read Kubernetes documents, or a file of the standalone agentgateway; a service with a native file need not hold the readers."""
    if any(is_kubernetes(document) for document in documents):
        from authz.config.agentgateway.documents import build_kubernetes  # noqa: PLC0415 - see above

        return build_kubernetes(
            documents,
            text,
            resource=options.resource,
            jwks=options.jwks,
            allow_anonymous=options.allow_anonymous,
        )
    from authz.config.agentgateway.standalone import build_standalone  # noqa: PLC0415 - see above

    return build_standalone(
        _only(documents, path),
        text,
        read=files.read,
        resource=options.resource,
        jwks=options.jwks,
        allow_anonymous=options.allow_anonymous,
    )


def _no_options(options: LoadOptions) -> None:
    """Refuse options for which a native file has keys."""
    given = (
        ("--resource", options.resource, "resource"),
        ("--jwks", options.jwks, "jwks_uri"),
        (SESSION_KEY, options.session_keys, "sessions.key_file"),
    )
    for flag, value, key in given:
        if value:
            cure = f"write {key} into the file"
            raise mistake(flag, "is for documents of agentgateway", cure)


def _beside(path: str, name: str) -> str:
    return str(Path(path).parent / name)


def _tls(path: str, model: ListenTls | None) -> GrpcTls | None:
    """Return where the certificate is; only `serve` reads it, so a file can be checked and rendered without keys."""
    if model is None:
        return None
    return GrpcTls(**{key: _beside(path, name) for key, name in model.model_dump().items()})


def _with_authorities(settings: Settings, file: PolicyFile, document: Document, files: Files) -> Settings:
    """Add the certificate authorities that the file names, if they are usable."""
    if file.ca_file is None:
        return settings
    path = _beside(document.file, file.ca_file)
    try:
        authorities = files.read(path).decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = "not PEM" if isinstance(error, ValueError | ssl.SSLError) else error.strerror
        message = f"no certificate authorities can be read from {path}: {why}"
        raise ConfigError([document.problem(("ca_file",), message, "give a PEM file")]) from None
    return replace(settings, authorities=authorities)


def _with_candidate(settings: Settings, candidate: Settings, document: Document) -> Settings:
    """Add a candidate; it is evaluated with this file's keys, so it may trust no other issuer."""
    problems = [
        document.problem(
            ("candidate",), f"trusts {issuer}, whose keys this file does not fetch", "list it in issuers"
        )
        for issuer in candidate.keys
        if issuer not in settings.keys
    ]
    problems += [
        document.problem(
            ("candidate",), f"asks {issuer} about tokens, which this file does not", "add introspection to it"
        )
        for issuer in candidate.introspections
        if issuer not in settings.introspections
    ]
    if problems:
        raise ConfigError(problems)
    warnings = (*settings.warnings, *candidate.warnings)
    return replace(settings, candidate=candidate, warnings=warnings)


def _only(documents: list[Document], path: str) -> Document:
    if len(documents) != 1:
        if documents:
            raise mistake(path, "holds several documents", "keep one, or use Kubernetes documents")
        raise mistake(path, "empty", "start from k8s/ or the README's example")
    return documents[0]

"""What the issuers of a native file keep in files of their own: key sets, and the secrets to ask them with.

Rules of this module:

* They are read with the policy and watched like it, so one that changes is loaded again.
* No problem quotes a key or a secret.
* An opaque token does not say whose it is. So of the issuers of one server, at most one can be asked.
"""

from dataclasses import replace
from pathlib import Path as FilePath

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from authz.config.addresses import is_guarded
from authz.config.files import Files
from authz.config.native.introspection import IntrospectionModel
from authz.config.native.issuers import IssuerModel
from authz.config.native.model import PolicyFile
from authz.config.problems import ConfigError, Problem
from authz.config.settings import Introspection, IssuerKeys, Settings
from authz.config.yaml_document import Document
from authz.core.identity.issuer import Introspect
from authz.core.identity.jwks import KeySetError, read_key_set

_MAX_SECRET = 16_384
_MIN_RSA_BITS = 2048
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


def with_introspection(settings: Settings, file: PolicyFile, document: Document, files: Files) -> Settings:
    """Add how issuers are asked.

    Raises:
        ConfigError: an endpoint, a secret or a combination cannot be used.
    """
    problems = list(_ambiguous(settings, document))
    found: dict[str, Introspection] = {}
    for name, issuer in file.issuers.items():
        model = issuer.introspection
        if model is None:
            continue
        if not is_guarded(model.endpoint, file.insecure_hosts):
            place = ("issuers", name, "introspection", "endpoint")
            cure = "use https, or list the host in insecure_hosts"
            problems.append(document.problem(place, _PLAIN_ENDPOINT, cure))
        key = "client_secret_file" if model.client_secret_file else "private_key_jwt"
        path = str(FilePath(document.file).parent / str(getattr(model, key)))
        try:
            secret = _read(path, files, is_key=key == "private_key_jwt")
        except ValueError as error:
            problems.append(document.problem(("issuers", name, "introspection", key), str(error)))
            continue
        found[issuer.issuer] = _introspection(issuer, model, secret)
    if problems:
        raise ConfigError(problems)
    return replace(settings, introspections=found)


_PLAIN_ENDPOINT = "over plain http, tokens and the secret can be read, and answers replaced, on the way"


def _introspection(issuer: IssuerModel, model: IntrospectionModel, secret: bytes) -> Introspection:
    is_key = model.private_key_jwt is not None
    return Introspection(
        issuer=issuer.issuer,
        endpoint=model.endpoint,
        client_id=model.client_id,
        secret="" if is_key else secret.decode(),
        private_key=secret if is_key else b"",
        key_id=model.key_id or "",
        cache_seconds=model.cache_seconds,
        negative_seconds=model.negative_seconds,
        timeout=model.timeout_seconds,
        concurrent=model.concurrent,
        waiting=model.waiting,
        signed=model.signed,
        algorithms=frozenset(issuer.algorithms),
    )


def _ambiguous(settings: Settings, document: Document) -> list[Problem]:
    problems = []
    for server in settings.directory.servers:
        asked = [terms.name for terms in server.issuers.values() if terms.introspect is not Introspect.NEVER]
        if len(asked) > 1:
            place = ("servers", server.name, "issuers")
            message = f"{' and '.join(asked)} would both be asked about opaque tokens, which do not say whose they are"
            problems.append(document.problem(place, message, "keep one of them in each server"))
    return problems


def _read(path: str, files: Files, *, is_key: bool) -> bytes:
    """Return a secret, or a private key in PEM.

    Raises:
        ValueError: it cannot be read or used; the text quotes nothing of it.
    """
    try:
        content = files.read(path, _MAX_SECRET)
    except OSError as error:
        msg = f"nothing can be read from {path}: {error.strerror}"
        raise ValueError(msg) from None
    if is_key:
        _check_key(content, path)
        return content
    secret = content.decode("latin-1").strip("\r\n")
    if not secret or len(content) > _MAX_SECRET or not (secret.isascii() and secret.isprintable()):
        msg = f"no secret in {path}: it is one line of visible ASCII"
        raise ValueError(msg)
    return secret.encode()


def _check_key(content: bytes, path: str) -> None:
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    good = (isinstance(key, RSAPrivateKey) and key.key_size >= _MIN_RSA_BITS) or (
        isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    )
    if not good:
        msg = f"no private key in {path}: RSA of 2048 bits or more, or P-256, in PEM without a passphrase"
        raise ValueError(msg)

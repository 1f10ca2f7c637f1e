"""Mutual TLS on the gRPC port. Renewed certificates take effect with the next connection; unusable files change nothing."""

import ssl
from pathlib import Path
from typing import Any

import grpc
import structlog

from authz.config.settings import GrpcTls

_LOG = structlog.get_logger("authz.tls")


class TlsError(Exception):
    """A file that mutual TLS needs cannot be used; the text names its key, the file and the cause."""


def credentials(tls: GrpcTls) -> grpc.ServerCredentials:
    """Return credentials that admit only clients with a certificate of the named authorities.

    Raises:
        TlsError: a file cannot be used.
    """
    _check(tls)
    files = _Files(tls)
    return grpc.dynamic_ssl_server_credentials(
        files.configuration(), files.renewed, require_client_authentication=True
    )


def _check(tls: GrpcTls) -> None:
    """Reject unusable files here, because gRPC would only say that it cannot bind."""
    for key in ("cert_file", "key_file", "client_ca_file"):
        path = getattr(tls, key)
        try:
            Path(path).read_bytes()
        except OSError as error:
            msg = f"listen.tls.{key}: {path} cannot be read: {error.strerror}"
            raise TlsError(msg) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file, password=_no_password)
    except (ValueError, OSError):  # ssl.SSLError is an OSError
        msg = f"listen.tls.key_file: {tls.key_file} is not the unlocked PEM key of {tls.cert_file}"
        raise TlsError(msg) from None
    try:
        context.load_verify_locations(tls.client_ca_file)
    except OSError:
        msg = f"listen.tls.client_ca_file: {tls.client_ca_file} holds no certificates in PEM"
        raise TlsError(msg) from None


def _no_password() -> str:
    """Return no password for a locked key; without this OpenSSL would ask at the terminal."""
    return ""


class _Files:
    """The three files, which are read again whenever a connection begins."""

    def __init__(self, tls: GrpcTls) -> None:
        self._tls = tls
        self._held = self._read()

    def _read(self) -> tuple[bytes, bytes, bytes]:
        key, cert, authorities = (
            Path(path).read_bytes()
            for path in (self._tls.key_file, self._tls.cert_file, self._tls.client_ca_file)
        )
        return key, cert, authorities

    def configuration(self) -> Any:
        key, cert, authorities = self._held
        return grpc.ssl_server_certificate_configuration([(key, cert)], authorities)

    def renewed(self) -> Any:
        """Return the files' content if it has changed, or None to keep what is used; gRPC calls this in a thread of its own."""
        try:
            found = self._read()
        except OSError as error:
            _LOG.warning("certificate not renewed", problem=error.strerror, file=error.filename)
            return None
        if found == self._held:
            return None
        self._held = found
        _LOG.info("certificate renewed")
        return self.configuration()

"""`mcp-authz serve`: the service."""

import dataclasses
import sys
from io import FileIO
from typing import Annotated

import structlog
import typer
import uvloop

from authz.cli.options import AllowAnonymous, File, Jwks, Resource, SessionKeys, checked, read_settings
from authz.config.addresses import check_address, check_tcp_address
from authz.config.settings import Settings
from authz.edge.audit import AuditLog
from authz.edge.logs import configure
from authz.edge.server import BindError, PolicyFile
from authz.edge.server import serve as run

_LOG = structlog.get_logger("authz.serve")
NO_KEY = "no key for session ids, so a random one is used: sessions end with this service, and no replica knows them"


def serve(
    config: File,
    grpc: Annotated[
        str, typer.Option("--grpc", metavar="ADDR", help="gRPC address: host:port or unix:/path.")
    ] = "",
    http: Annotated[str, typer.Option("--http", metavar="ADDR", help="HTTP address: host:port.")] = "",
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
    session_key_file: SessionKeys = None,
) -> None:
    """Decide for Envoy: gRPC (ext_authz, ext_proc, health) and HTTP (metadata, metrics, health).

    One audit record a decision goes to stdout as a JSON line; the service's own log goes to stderr.

    Example: mcp-authz serve -c policy.yaml --grpc unix:/run/mcp-authz/authz.sock
    """

    def read() -> Settings:
        settings = read_settings(
            config, resource, jwks, allow_anonymous=allow_anonymous, session_keys=session_key_file
        )
        return _addressed(settings, grpc, http)

    settings = read()
    configure(sys.stderr)
    for warning in settings.warnings:
        _LOG.warning("policy", problem=str(warning))
    if not settings.session_keys:
        _LOG.warning("sessions", problem=NO_KEY, cure="set sessions.key_file, or --session-key-file")
    audit = AuditLog(FileIO(sys.stdout.fileno(), "wb", closefd=False))
    try:
        uvloop.run(run(settings, audit, started=lambda: _announce(settings), file=PolicyFile(config, read)))
    except BindError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from None
    finally:
        audit.close()


def _announce(settings: Settings) -> None:
    _LOG.info("serving", grpc=settings.grpc, http=settings.http, policy=settings.digest)


def _addressed(settings: Settings, grpc: str, http: str) -> Settings:
    """Let the flags win over the file's addresses."""
    checked("--grpc", grpc or "localhost:1", check_address, "")
    checked("--http", http or "localhost:1", check_tcp_address, "")
    return dataclasses.replace(settings, grpc=grpc or settings.grpc, http=http or settings.http)

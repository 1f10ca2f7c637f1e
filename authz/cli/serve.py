"""`mcp-authz serve`: the service."""

import asyncio
import sys
from io import FileIO
from secrets import token_bytes
from typing import Annotated

import structlog
import typer
from msgspec import structs

from authz.cli.options import AllowAnonymous, File, Jwks, Resource, SessionKeys, checked
from authz.cli.serving import read_task
from authz.config.addresses import check_address, check_tcp_address, worker_addresses
from authz.config.settings import MAX_WORKERS, Settings
from authz.core.identity.session import MIN_KEY
from authz.edge.grpc.startup import ServerChoice, poll_own_sockets
from authz.edge.http.listener import BindError
from authz.edge.reload import WatchedFile
from authz.edge.telemetry.service_log import configure
from authz.edge.workers.host import OPEN_FILES, cores, open_files
from authz.edge.workers.ipc import Task

_LOG = structlog.get_logger("authz.serve")
NO_KEY = "no key for session ids, so a random one is used: sessions end with this service, and no replica knows them"


def serve(  # noqa: PLR0913, PLR0917 - each is an option of the command
    config: File,
    grpc: Annotated[
        str, typer.Option("--grpc", metavar="ADDR", help="gRPC address: host:port or unix:/path.")
    ] = "",
    http: Annotated[str, typer.Option("--http", metavar="ADDR", help="HTTP address: host:port.")] = "",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=MAX_WORKERS,
            help="Processes that decide; default the file's, else one a core, and one behind a Unix socket.",
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            "--grace", min=0, max=300, help="Seconds to answer on after SIGTERM; default the file's, else 3."
        ),
    ] = None,
    grpc_server: Annotated[
        ServerChoice,
        typer.Option(
            "--grpc-server",
            help="native: fast, on private names of grpcio; aio: on its public API; auto: native where it works, else aio.",
        ),
    ] = ServerChoice.AUTO,
    resource: Resource = "",
    jwks: Jwks = None,
    allow_anonymous: AllowAnonymous = False,
    session_key_file: SessionKeys = None,
) -> None:
    """Decide for Envoy: gRPC (ext_authz, ext_proc, health) and HTTP (metadata, metrics, health, console).

    One audit record a decision goes to stdout as a JSON line; the service's own log goes to stderr.
    On SIGTERM health says NOT_SERVING, calls are answered for the grace, and what is under way is finished within a
    limit; a second SIGTERM ends at once. SIGHUP reads the policy file again.

    Example: mcp-authz serve -c policy.yaml --grpc unix:/run/mcp-authz/authz.sock
    """
    checked("--grpc", grpc or "localhost:1", check_address, "")
    checked("--http", http or "localhost:1", check_tcp_address, "")
    task = Task(
        config=config,
        resource=resource,
        jwks=jwks or [],
        allow_anonymous=allow_anonymous,
        grpc=grpc,
        http=http,
        grace=grace,
        session_keys=session_key_file or [],
        grpc_server=grpc_server,
    )
    settings = read_task(task)
    configure(sys.stderr)
    for warning in settings.warnings:
        _LOG.warning("policy", problem=str(warning))
    if not settings.session_keys:
        _LOG.warning("sessions", problem=NO_KEY, cure="set sessions.key_file, or --session-key-file")
    if open_files() < OPEN_FILES:
        _LOG.warning("few files may be open", limit=open_files(), wanted=OPEN_FILES, cure="ulimit -n")
    _run(settings, task, workers or settings.workers or _usual(settings))


def _usual(settings: Settings) -> int:
    """Give how many workers there are when nobody says: a Unix socket is a sidecar's, which shares its pod's cores."""
    return 1 if settings.grpc.startswith("unix:") else min(cores(), MAX_WORKERS)


def _run(settings: Settings, task: Task, workers: int) -> None:
    poll_own_sockets()
    out = FileIO(sys.stdout.fileno(), "wb", closefd=False)
    file = WatchedFile(task.config, lambda: read_task(task))
    try:
        if workers == 1:
            _alone(settings, file, out, task.grpc_server)
        else:
            _together(settings, file, task, workers, out)
    except BindError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from None


def _alone(settings: Settings, file: WatchedFile, out: FileIO, grpc_server: ServerChoice) -> None:
    """Serve in this process."""
    from authz.edge.serve import WorkerOptions  # noqa: PLC0415 - loads gRPC
    from authz.edge.serve import serve as run  # noqa: PLC0415 - as above
    from authz.edge.telemetry.audit_log import AuditLog  # noqa: PLC0415 - a supervisor needs neither

    audit = AuditLog(out)
    try:
        among = WorkerOptions(grpc_server=grpc_server)
        asyncio.run(run(settings, audit, started=lambda: _announce(settings, 1), file=file, options=among))
    finally:
        audit.close()


def _together(settings: Settings, file: WatchedFile, task: Task, workers: int, out: FileIO) -> None:
    """Serve by workers."""
    from authz.edge.workers.supervisor import StartError, supervise  # noqa: PLC0415 - not for a process alone

    addresses = worker_addresses(settings.grpc, workers)
    shared, key = len(set(addresses)) == 1, token_bytes(MIN_KEY)
    tasks = [structs.replace(task, grpc=address, shared=shared, session_key=key) for address in addresses]
    command = [sys.executable, "-m", "authz.cli.worker"]

    def started() -> None:
        _announce(settings, workers)

    try:
        asyncio.run(supervise(settings, tasks, command, out, file=file, started=started))
    except StartError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from None


def _announce(settings: Settings, workers: int) -> None:
    _LOG.info("serving", grpc=settings.grpc, http=settings.http, policy=settings.digest, workers=workers)

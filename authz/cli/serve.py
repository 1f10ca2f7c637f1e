"""`mcp-authz serve`: the service."""

import asyncio
import os
import sys
from collections.abc import Sequence
from io import FileIO
from secrets import token_bytes
from typing import NoReturn

import structlog
from msgspec import structs

from authz.cli import serve_flags
from authz.cli.policy_file import checked
from authz.cli.serve_flags import AUDIT
from authz.cli.task_settings import read_task
from authz.cli.tracing_settings import check_collector
from authz.config.addresses import check_address, check_tcp_address, is_http, worker_addresses
from authz.config.problems import mistake
from authz.config.settings import MAX_WORKERS, AuditTerms, Settings
from authz.core.identity.session import MIN_KEY
from authz.edge.grpc.preload import ServerChoice, poll_own_sockets
from authz.edge.http.listener import BindError
from authz.edge.reload import WatchedFile
from authz.edge.telemetry.audit_file import AuditFile
from authz.edge.telemetry.line_writer import Stream
from authz.edge.telemetry.service_log import configure
from authz.edge.workers.host import OPEN_FILES, cores, open_files
from authz.edge.workers.ipc import Task

_LOG = structlog.get_logger("authz.serve")
NO_KEY = "no key for session ids, so a random one is used: sessions end with this service, and no replica knows them"


def serve(arguments: Sequence[str]) -> None:
    """Serve as the flags say, until told to end.

    Raises:
        ConfigError: the policy file or a flag cannot be used.
    """
    flags = serve_flags.parse(arguments)
    checked("--grpc", flags.grpc or "localhost:1", check_address, "")
    if is_http(flags.audit):
        check_collector(AUDIT, flags.audit)
    checked("--http", flags.http or "localhost:1", check_tcp_address, "")
    task = Task(
        config=flags.config,
        resource=flags.resource,
        jwks=flags.jwks,
        allow_anonymous=flags.allow_anonymous,
        grpc=flags.grpc,
        http=flags.http,
        grace=flags.grace,
        session_keys=flags.session_key_file,
        grpc_server=flags.grpc_server,
        rewriter=flags.rewriter or "",
        console=flags.console == "on",
        audit=flags.audit,
        audit_format=flags.audit_format,
        otlp=flags.otlp,
    )
    settings = read_task(task)
    configure(sys.stderr)
    for warning in settings.warnings:
        _LOG.warning("policy", problem=str(warning))
    if not settings.session_keys:
        _LOG.warning("sessions", problem=NO_KEY, cure="set sessions.key_file, or --session-key-file")
    if open_files() < OPEN_FILES:
        _LOG.warning("few files may be open", limit=open_files(), wanted=OPEN_FILES, cure="ulimit -n")
    _run(
        settings,
        task,
        flags.workers or settings.workers or _usual(settings),
        _records(settings.audit, AUDIT if flags.audit else "audit.file"),
    )


def _usual(settings: Settings) -> int:
    """Return the default number of workers: a Unix socket is a sidecar's, which shares its pod's cores."""
    return 1 if settings.grpc.startswith("unix:") else min(cores(), MAX_WORKERS)


def _records(audit: AuditTerms, key: str) -> Stream:
    """Return where audit records go: the file or collector that a key or a flag names, or stdout if none does."""
    if audit.otlp:
        return _collector(audit.otlp)
    if not audit.file:
        return FileIO(sys.stdout.fileno(), "wb", closefd=False)
    try:
        return AuditFile(audit.file)
    except OSError as error:
        raise mistake(key, f"{audit.file} cannot be written: {error.strerror}") from None


def _collector(url: str) -> Stream:
    from authz.edge.otlp.variables import Signal, whole_url  # noqa: PLC0415 - only for a collector
    from authz.edge.telemetry.otlp_stream import OtlpLogStream  # noqa: PLC0415 - as above

    try:
        return OtlpLogStream(whole_url(url, Signal.LOGS), os.environ)
    except OSError as error:
        variables = "OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE or _CLIENT_KEY"
        raise mistake(variables, f"names a file that cannot be used: {error}") from None


def _run(settings: Settings, task: Task, workers: int, out: Stream) -> None:
    poll_own_sockets()
    file = WatchedFile(task.config, lambda: read_task(task))
    try:
        if workers == 1:
            _alone(settings, file, out, task.grpc_server)
        else:
            _together(settings, file, task, workers, out)
    except BindError as error:
        _fail(error)


def _alone(settings: Settings, file: WatchedFile, out: Stream, grpc_server: ServerChoice) -> None:
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


def _together(settings: Settings, file: WatchedFile, task: Task, workers: int, out: Stream) -> None:
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
        _fail(error)


def _fail(error: Exception) -> NoReturn:
    from authz.tools.terminal import say  # noqa: PLC0415 - nothing that runs needs it

    say(f"error: {error}", err=True)
    sys.exit(2)


def _announce(settings: Settings, workers: int) -> None:
    _LOG.info("serving", grpc=settings.grpc, http=settings.http, policy=settings.digest, workers=workers)

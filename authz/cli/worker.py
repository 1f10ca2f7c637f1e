"""The program of one worker: `python -m authz.cli.worker FD`, which only `mcp-authz serve` starts."""

import asyncio
import signal
import socket
import sys
from io import FileIO

from authz.cli import import_guard  # noqa: F401 - before any other import that loads a library
from authz.cli.task_settings import read_task, read_task_or_kept
from authz.config.problems import ConfigError
from authz.edge.reload import WatchedFile
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.telemetry.service_log import configure
from authz.edge.workers.ipc import Started, Task, WorkerChannel
from authz.edge.workers.worker import work


async def _main(connected: socket.socket) -> int:
    channel = await WorkerChannel.open(connected)
    task = await channel.receive()
    if not isinstance(task, Task):
        return 1
    try:
        settings = await asyncio.to_thread(read_task_or_kept, task)
    except ConfigError as error:
        channel.send(Started(str(error)))
        await channel.aclose()
        return 2
    audit = AuditLog(FileIO(sys.stdout.fileno(), "wb", closefd=False))
    try:
        file = WatchedFile(task.config, lambda: read_task(task))
        return 0 if await work(channel, task, file, settings, audit) else 2
    finally:
        await asyncio.to_thread(audit.close)


def main() -> None:
    """Serve until told to end."""
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # its default would end a worker that does not watch the policy yet
    configure(sys.stderr)
    sys.exit(asyncio.run(_main(socket.socket(fileno=int(sys.argv[1])))))


if __name__ == "__main__":
    main()

"""The life of several workers: started together, each replaced when it ends, ended together.

Rules of this module:

* The supervisor never decides and never loads gRPC. It holds the HTTP port, because one place must answer for all, and the
  audit log's stream, because one place must write it.
* Workers are started as programs of their own, not forked: gRPC's threads do not survive a fork.
* The start is whole or not at all: when a worker cannot serve, none is left.
* A worker learns from its line that the supervisor is gone, and ends: nothing is left behind, whatever the end.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from authz.config.settings import Settings
from authz.edge.http.app import application
from authz.edge.http.listener import HttpPort, bind
from authz.edge.reload import WatchedFile, Watcher
from authz.edge.shutdown import ShutdownSignal
from authz.edge.telemetry.audit_log import Stream
from authz.edge.workers.ipc import Task
from authz.edge.workers.team import Team


async def supervise(
    settings: Settings,
    tasks: Sequence[Task],
    command: Sequence[str],
    out: Stream,
    *,
    file: WatchedFile,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Serve by several workers until SIGTERM or SIGINT.

    Args:
        settings: as the policy file gives them now.
        tasks: one for each worker.
        command: the worker's program; the descriptor of its line is appended.
        out: takes the audit log.
        file: where the settings come from; the metadata documents follow it as the workers do.
        started: called once every worker serves.

    Raises:
        BindError: an address cannot be used.
        StartError: a worker cannot serve; none is left.
    """
    ending = ShutdownSignal.by_signals()
    port = HttpPort(settings.http)
    try:
        with _reserved(settings.grpc):
            team = Team(settings, tasks, command, out, ending)
            try:
                await team.begin()
                port.begin(application(team))
                async with _watched(file, team):
                    started()
                    await ending.begun.wait()
                    await team.end()
            finally:
                await team.kill()
    finally:
        await port.end()


@contextlib.contextmanager
def _reserved(address: str) -> Iterator[None]:
    """Hold a TCP port that workers share: nobody else may have it, also while no worker listens."""
    if address.startswith("unix:"):
        yield
        return
    bind(address, "gRPC").close()
    with bind(address, "gRPC", shared=True):
        yield


@contextlib.asynccontextmanager
async def _watched(file: WatchedFile, team: Team) -> AsyncIterator[None]:
    watcher = Watcher(file.path, file.load, team.apply, failed=lambda _: None, read=team.settings.read)

    def hang_up() -> None:
        watcher.poke()
        team.signal(signal.SIGHUP)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    watching = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        watching.cancel()

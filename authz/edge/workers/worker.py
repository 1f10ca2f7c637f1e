"""One worker of several: it serves gRPC, and tells its supervisor what it would tell over HTTP.

SIGTERM, sent to it alone, lets it leave; its supervisor starts another in its place. When the supervisor is gone it ends too.
"""

import asyncio

import structlog

from authz.config.settings import Settings
from authz.edge.http.listener import BindError
from authz.edge.http.own import WorkerReport
from authz.edge.reload import WatchedFile
from authz.edge.serve import WorkerOptions, serve
from authz.edge.service import Service
from authz.edge.shutdown import ShutdownSignal
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.workers.ipc import Ask, End, Failed, Report, Started, Task, WorkerChannel
from authz.edge.workers.metrics_merge import plain

_LOG = structlog.get_logger("authz.worker")


class _Beside:
    """Answers the supervisor's questions."""

    def __init__(self, line: WorkerChannel) -> None:
        self._line = line
        self._own: WorkerReport | None = None
        self._listening: asyncio.Task[None] | None = None

    def begin(self, service: Service, ending: ShutdownSignal) -> None:
        self._own = WorkerReport(service, ending)
        self._listening = asyncio.create_task(self._listen(ending))

    async def end(self) -> None:
        """Give the last figures, which outlive the worker."""
        if self._listening is not None:
            self._listening.cancel()
            await self._report()

    async def _listen(self, ending: ShutdownSignal) -> None:
        while (message := await self._line.receive()) is not None:
            if isinstance(message, Ask):
                await self._report()
            elif isinstance(message, End):
                ending.tell()
        _LOG.error("the supervisor is gone, so this worker ends")
        ending.tell(quietly=True)

    async def _report(self) -> None:
        if self._own is not None:
            metrics = plain(await self._own.metrics())
            self._line.send(Report(await self._own.condition(), metrics))


async def work(
    line: WorkerChannel, task: Task, file: WatchedFile, settings: Settings, audit: AuditLog
) -> bool:
    """Serve as one worker until told to end.

    Returns:
        Whether it could; the supervisor was told why not.
    """
    ending = ShutdownSignal.by_signals(quietly=task.shared)
    try:
        await serve(
            settings,
            audit,
            started=lambda: line.send(Started()),
            ending=ending,
            file=file,
            beside=_Beside(line),
            among=WorkerOptions(
                shared=task.shared,
                hold=task.hold,
                session_key=task.session_key,
                grpc_server=task.grpc_server,
            ),
        )
    except BindError as error:
        line.send(Failed(str(error)))
        return False
    finally:
        await line.close()
    return True

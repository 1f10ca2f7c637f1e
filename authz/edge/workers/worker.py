"""One worker of several: it serves gRPC, and reports to its supervisor what a single process would answer over HTTP.

SIGTERM, sent to it alone, lets it leave; its supervisor starts another in its place. When the supervisor is gone, it ends.
"""

import asyncio

import structlog

from authz.config.settings import Settings
from authz.edge.http.listener import BindError
from authz.edge.http.status import WorkerReport
from authz.edge.reload import WatchedFile
from authz.edge.serve import WorkerOptions, serve
from authz.edge.service import Service
from authz.edge.shutdown import ShutdownSignal
from authz.edge.telemetry.audit_log import AuditLog
from authz.edge.workers.ipc import (
    Ask,
    Came,
    End,
    Recall,
    Recalled,
    Report,
    Sighting,
    Started,
    Task,
    WorkerChannel,
)
from authz.edge.workers.rewriter_news import RewriterNews

_LOG = structlog.get_logger("authz.worker")


class SupervisorControl:
    """Answers the supervisor, in the place of an HTTP port (a `ControlSurface`)."""

    def __init__(self, channel: WorkerChannel) -> None:
        """Answer over `channel`; nothing is read from it before `begin`."""
        self._channel = channel
        self._own: WorkerReport | None = None
        self._listening: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def begin(self, service: Service, shutdown: ShutdownSignal) -> None:
        """Begin to answer about a service that serves."""
        self._own = WorkerReport(service, shutdown)
        self._sightings = service.locks.sightings
        service.locks.share_by(lambda server, key, digest: self._channel.send(Sighting(server, *key, digest)))
        self._listening = asyncio.create_task(self._listen(shutdown))
        news = RewriterNews(service.rewriters.presence, lambda callers: self._channel.send(Came(callers)))
        service.rewriters.wait_for_word = news.wait
        self._telling = asyncio.create_task(news.tell())
        self._news = news

    async def end(self) -> None:
        """Send the last report: its counts outlive the worker."""
        if self._listening is not None and self._telling is not None:
            self._listening.cancel()
            self._telling.cancel()
            await self._report()

    async def _listen(self, shutdown: ShutdownSignal) -> None:
        while (message := await self._channel.receive()) is not None:
            if isinstance(message, Ask):
                await self._report()
            elif isinstance(message, Recall):
                await self._recall(message)
            elif isinstance(message, Sighting):
                key = (message.section, message.name)
                self._sightings.learn(message.server, key, message.digest)
            elif isinstance(message, Came):
                self._news.hear(message.callers)
            elif isinstance(message, End) and not shutdown.begun.is_set():
                # Not a second request, which would cut the drain short: a service manager signals workers and supervisor.
                shutdown.request()
        _LOG.error("the supervisor is gone, so this worker ends")
        shutdown.request(quietly=True)

    async def _report(self) -> None:
        if self._own is not None:
            self._channel.send(Report(await self._own.status(), list(await self._own.metrics())))

    async def _recall(self, asked: Recall) -> None:
        if self._own is not None:
            self._channel.send(Recalled(asked.number, await self._own.recall(asked.why)))


async def work(
    channel: WorkerChannel, task: Task, file: WatchedFile, settings: Settings, audit: AuditLog
) -> bool:
    """Serve as one worker until told to end.

    Returns:
        Whether it could serve; if not, the supervisor was told why.
    """
    try:
        await serve(
            settings,
            audit,
            started=lambda: channel.send(Started()),
            shutdown=ShutdownSignal.by_signals(quietly=task.shared),
            file=file,
            control=SupervisorControl(channel),
            options=WorkerOptions(
                shared=task.shared,
                hold=task.hold,
                session_key=task.session_key,
                grpc_server=task.grpc_server,
            ),
        )
    except BindError as error:
        channel.send(Started(str(error)))
        return False
    finally:
        await channel.aclose()
    return True

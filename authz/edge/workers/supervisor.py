"""Run several workers as one service: start them together, replace each that ends, end them together.

Rules of this module:

* The supervisor decides nothing and loads no gRPC. It holds the HTTP port, because one process must answer for all workers,
  and the audit log's stream, because one process must write it.
* Workers are programs of their own and not forks: gRPC's threads do not survive a fork.
* The start is all or nothing: if one worker cannot serve, none is left.
* A worker that ends is replaced, at once if its exit status is 0, else after a pause that doubles until a worker has lived
  for a while. The others go on meanwhile.
* A worker whose supervisor is gone sees its channel close, and ends. So nothing is left behind, however this process ends.
"""

import asyncio
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from prometheus_client import Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from authz.config.settings import Settings
from authz.edge.envoy_watch import EnvoyWatch
from authz.edge.http.app import application
from authz.edge.http.console.activity import Activity
from authz.edge.http.listener import HttpPort, bind
from authz.edge.http.memory import WorkerMemory, together
from authz.edge.http.status import WorkerStatus, overall
from authz.edge.reload import PolicyWatcher, WatchedFile
from authz.edge.shutdown import ShutdownSignal
from authz.edge.telemetry.line_writer import Stream
from authz.edge.workers.audit_pipe import AuditPipe
from authz.edge.workers.ipc import MAX_BYTES, Task
from authz.edge.workers.metrics_merge import merge
from authz.edge.workers.process import WorkerSlot
from authz.edge.workers.rewriter_news import RewriterExchange
from authz.edge.workers.sightings import SightingExchange

START_SECONDS = 60.0
"""Longest time that all workers may take to serve."""
ANSWER_SECONDS = 1.0
"""Longest time that a worker may take to report its status; a slower one counts as not ready."""
_SLACK = 2.0
"""Seconds beyond grace and limit after which a worker is killed."""


class StartError(Exception):
    """A worker cannot serve; the text says why."""


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
        command: the worker's program; the descriptor of its channel is appended.
        out: takes the audit log.
        file: where the settings come from; the metadata documents follow it as the workers do.
        started: called once every worker serves.

    Raises:
        BindError: an address cannot be used.
        StartError: a worker cannot serve; none is left.
    """
    shutdown = ShutdownSignal.by_signals()
    async with AsyncExitStack() as cleanup:
        port = HttpPort(settings.http)
        cleanup.push_async_callback(port.end)
        cleanup.enter_context(_reserved(settings.grpc))
        supervisor = WorkerSupervisor(settings, tasks, command, out, shutdown)
        cleanup.push_async_callback(supervisor.kill)
        await supervisor.wait_started()
        activity = Activity()
        watch = EnvoyWatch(supervisor, note=activity.note)
        looking = asyncio.create_task(watch.run())
        cleanup.callback(looking.cancel)
        port.begin(application(supervisor, watch, activity))
        watching = asyncio.create_task(_watcher(file, supervisor).run())
        cleanup.callback(watching.cancel)
        started()
        await shutdown.begun.wait()
        await supervisor.end()


@contextmanager
def _reserved(address: str) -> Iterator[None]:
    """Hold the TCP port that workers share, so that no other service can join it, even while no worker listens."""
    if address.startswith("unix:"):
        yield
        return
    bind(address, "gRPC").close()  # fails if anybody has the port, also one who would share it
    with bind(address, "gRPC", shared=True):
        yield


def _watcher(file: WatchedFile, supervisor: "WorkerSupervisor") -> PolicyWatcher:
    """Return a watcher of the policy, which SIGHUP wakes here and in every worker from now on."""
    watcher = PolicyWatcher(
        file.path, file.load, supervisor.apply, failed=lambda _: None, read=supervisor.settings.read
    )

    def hang_up() -> None:
        watcher.reload_now()
        supervisor.signal(signal.SIGHUP)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    return watcher


class WorkerSupervisor:
    """The workers of a service, and the `ServiceStatus` of all of them together."""

    def __init__(
        self,
        settings: Settings,
        tasks: Sequence[Task],
        command: Sequence[str],
        out: Stream,
        shutdown: ShutdownSignal,
    ) -> None:
        """Start a worker for each task; `wait_started` says whether they serve."""
        self.settings = settings
        self._shutdown = shutdown
        # Added to by the threads of the audit pipe, so it is a counter that locks.
        self._dropped = Counter(
            "mcp_authz_audit_dropped", "Audit records that were not written.", registry=None
        )
        audit = AuditPipe(out, self._dropped.inc)
        sightings, came = SightingExchange(), RewriterExchange()
        self._slots = [
            WorkerSlot(number, task, command, audit, self._files, sightings, came)
            for number, task in enumerate(tasks)
        ]

    async def wait_started(self) -> None:
        """Wait until every worker serves, or until the service is told to end.

        Raises:
            StartError: one does not.
        """
        started = asyncio.gather(*(asyncio.shield(slot.started) for slot in self._slots))
        if await _done_before(started, self._shutdown.begun, START_SECONDS):
            for problem in filter(None, started.result()):
                raise StartError(problem)
        elif not self._shutdown.begun.is_set():
            msg = f"the workers did not serve within {START_SECONDS:g} s"
            raise StartError(msg)

    def _files(self) -> Mapping[str, bytes]:
        """Return the files of the policy in force; none if they are too large for one message."""
        files = self.settings.files
        return files if sum(map(len, files.values())) <= MAX_BYTES // 2 else {}

    async def apply(self, settings: Settings) -> None:
        """Answer HTTP by other settings from now on; the workers read the file themselves."""
        self.settings = settings

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every worker that serves."""
        for slot in self._slots:
            slot.signal(number)

    async def end(self) -> None:
        """End every worker within grace and limit, or at once if told again; what is left is for `kill`."""
        drain = self.settings.drain
        ended = asyncio.gather(*(slot.end() for slot in self._slots))
        if not await _done_before(ended, self._shutdown.at_once, drain.grace + drain.limit + _SLACK):
            self.signal(signal.SIGTERM)
            await asyncio.wait([ended], timeout=_SLACK)

    async def kill(self) -> None:
        """Leave no worker."""
        await asyncio.gather(*(slot.kill() for slot in self._slots))

    async def metrics(self) -> Iterable[Metric]:
        """Return every metric, of all workers together."""
        await self._statuses()
        return merge([*(slot.metrics() for slot in self._slots), self._own_metrics()])

    async def status(self) -> WorkerStatus:
        """Return the status of the service as a whole."""
        return overall(await self._statuses(), draining=self._shutdown.begun.is_set())

    async def recall(self, why: str = "") -> WorkerMemory:
        """Return what the workers remember, and what one of them says of why the denial of this id came."""
        asked = [slot.recall(why, ANSWER_SECONDS) for slot in self._slots if slot.up]
        return together(await asyncio.gather(*asked))

    async def _statuses(self) -> list[WorkerStatus]:
        """Return the status of each worker that is up, and still is when all have answered."""
        asked = [slot for slot in self._slots if slot.up]
        statuses = await asyncio.gather(*(slot.status(ANSWER_SECONDS) for slot in asked))
        return [status for slot, status in zip(asked, statuses, strict=True) if slot.up]

    def _own_metrics(self) -> list[Metric]:
        workers = GaugeMetricFamily("mcp_authz_workers", "Workers, configured and up.", labels=["state"])
        workers.add_metric(["configured"], len(self._slots))
        workers.add_metric(["up"], sum(slot.up for slot in self._slots))
        restarts = CounterMetricFamily(
            "mcp_authz_worker_restarts",
            "Workers that ended and were replaced.",
            sum(slot.restarts for slot in self._slots),
        )
        return [*self._dropped.collect(), restarts, workers]


async def _done_before(awaited: asyncio.Future[Any], event: asyncio.Event, seconds: float) -> bool:
    """Wait until `awaited` is done, the event is set or the time is over; return whether it is done."""
    waiting: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
    await asyncio.wait([awaited, waiting], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return awaited.done()

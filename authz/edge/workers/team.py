"""The workers of a service, and what they say together.

Rules of this module:

* All serve, or the start has failed.
* A worker that ends is replaced, after a pause unless it was asked to leave; the pause doubles until one has lived a while.
  The others go on meanwhile.
* A replacement takes no call before it has every issuer's keys, as the others have; for a while.
* What a worker counted, as far as it told, stays counted (see `merge`).
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from msgspec import structs
from prometheus_client.core import GaugeMetricFamily, Metric

from authz.config.settings import Settings
from authz.edge.http.status import WorkerStatus, overall
from authz.edge.shutdown import ShutdownSignal
from authz.edge.telemetry.audit_log import Stream
from authz.edge.telemetry.counters import Counters
from authz.edge.workers.audit_pipe import AuditPipe
from authz.edge.workers.ipc import Report, Task
from authz.edge.workers.metrics_merge import Family, counted, families, merge, plain
from authz.edge.workers.process import Worker

START_SECONDS = 60.0
"""Longest time that all workers may take to serve."""
ANSWER_SECONDS = 1.0
"""Longest time that a worker may take to say how it is; one that takes longer counts as not ready."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds before a worker that ended by itself is replaced; doubled each time, until one has lived `CALM_SECONDS`."""
CALM_SECONDS = 30.0
KEYS_SECONDS = 10.0
"""Longest time that a replacement waits for keys before it takes calls without them."""
_SLACK = 2.0
"""Seconds beyond grace and limit after which a worker is killed."""
_LOG = structlog.get_logger("authz.supervisor")


class StartError(Exception):
    """Workers that cannot serve; the text says why."""


class Team:
    """The workers, and what they say together."""

    def __init__(
        self,
        settings: Settings,
        tasks: Sequence[Task],
        command: Sequence[str],
        out: Stream,
        ending: ShutdownSignal,
    ) -> None:
        """Prepare; nothing is started yet."""
        self.settings = settings
        self._tasks, self._command, self._ending = tasks, command, ending
        self._loop = asyncio.get_running_loop()
        self._torn = Counters("mcp_authz_audit_dropped", "Audit records that were not written.", ())
        self._restarts = Counters("mcp_authz_worker_restarts", "Workers that ended and were replaced.", ())
        self._restarts.add((), 0)
        self._pump = AuditPipe(out, self._drop)
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._retired: list[Family] = []

    def _drop(self) -> None:
        """Count a record that was not written, from any thread."""
        with contextlib.suppress(RuntimeError):  # nobody asks for figures any more
            self._loop.call_soon_threadsafe(self._torn.add, ())

    async def begin(self) -> None:
        """Start every worker and wait until all serve, or until the service is told to end.

        Raises:
            StartError: one does not.
        """
        for number in range(len(self._tasks)):
            await self._start(self._tasks[number], number)
        everyone = asyncio.gather(*(asyncio.shield(worker.began) for worker in self._workers.values()))
        if await _first(everyone, self._ending.begun, START_SECONDS):
            for problem in filter(None, everyone.result()):
                raise StartError(problem)
        elif not self._ending.begun.is_set():
            msg = f"the workers did not serve within {START_SECONDS:g} s"
            raise StartError(msg)
        for number, worker in self._workers.items():
            _tell(number, worker, worker.began.result() if worker.began.done() else "told to end")
        self._keepers = [asyncio.create_task(self._keep(number)) for number in self._workers]

    async def apply(self, settings: Settings) -> None:
        """Describe the servers of other settings from now on."""
        self.settings = settings

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every worker that serves."""
        for worker in self._up():
            worker.signal(number)

    async def end(self) -> None:
        """End every worker within grace and limit, or at once when told again; whoever is left is for `kill`."""
        for keeper in self._keepers:
            keeper.cancel()
        for worker in self._workers.values():
            if worker.up:
                worker.end()
            else:
                worker.signal(signal.SIGKILL)  # it took no call yet
        terms = self.settings.drain
        everyone = asyncio.gather(*(worker.ended() for worker in self._workers.values()))
        if not await _first(everyone, self._ending.at_once, terms.grace + terms.limit + _SLACK):
            self.signal(signal.SIGTERM)
            await asyncio.wait([everyone], timeout=_SLACK)

    async def kill(self) -> None:
        """Leave no worker."""
        for keeper in self._keepers:
            keeper.cancel()
        for worker in self._workers.values():
            worker.signal(signal.SIGKILL)
        await asyncio.gather(*(worker.ended() for worker in self._workers.values()))

    async def metrics(self) -> Iterable[Metric]:
        """Every metric, of all workers together."""
        await self._reports()
        told = [worker.last.metrics for worker in self._workers.values() if worker.last is not None]
        own = [*self._torn.collect(), *self._restarts.collect(), self._count()]
        return families(merge([*told, self._retired, plain(own)]))

    async def condition(self) -> WorkerStatus:
        """How the service is as a whole."""
        return overall(
            [_condition(report) for report in await self._reports()], draining=self._ending.begun.is_set()
        )

    async def _reports(self) -> list[Report | None]:
        return await asyncio.gather(*(worker.report(ANSWER_SECONDS) for worker in self._up()))

    def _up(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.up]

    def _count(self) -> Metric:
        family = GaugeMetricFamily("mcp_authz_workers", "Workers, configured and up.", labels=["state"])
        family.add_metric(["configured"], len(self._tasks))
        family.add_metric(["up"], len(self._up()))
        return family

    async def _start(self, task: Task, number: int) -> Worker:
        worker = await Worker.start(self._command, task, self._pump)
        self._workers[number] = worker
        return worker

    async def _keep(self, number: int) -> None:
        """Replace a worker whenever it ends."""
        pause = FIRST_PAUSE
        while True:
            born = time.monotonic()
            status = await self._over(number)
            pause = FIRST_PAUSE if time.monotonic() - born > CALM_SECONDS else pause
            if status:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            self._restarts.add(())
            try:
                worker = await self._start(structs.replace(self._tasks[number], hold=KEYS_SECONDS), number)
            except OSError as error:
                _LOG.error("worker cannot be started", worker=number, problem=error.strerror)
            else:
                problem = await asyncio.shield(worker.began)
                _tell(number, worker, problem)

    async def _over(self, number: int) -> int:
        """Wait for a worker's end; gives its exit status, 1 when there is none."""
        worker = self._workers.get(number)
        if worker is None:
            return 1
        status = await worker.ended()
        self._retire(number, worker)
        _LOG.warning("worker ended", worker=number, status=status)
        return status

    def _retire(self, number: int, worker: Worker) -> None:
        """Keep what an ended worker counted."""
        del self._workers[number]
        if worker.last is not None:
            self._retired = merge([self._retired, counted(worker.last.metrics)])


def _tell(number: int, worker: Worker, problem: str) -> None:
    if problem:
        _LOG.error("worker cannot serve", worker=number, pid=worker.pid, problem=problem)
    else:
        _LOG.info("worker serves", worker=number, pid=worker.pid)


async def _first(awaited: asyncio.Future[Any], event: asyncio.Event, seconds: float) -> bool:
    """Wait for something until an event or for so many seconds; tells whether it came."""
    other: asyncio.Future[Any] = asyncio.ensure_future(event.wait())
    await asyncio.wait([awaited, other], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    other.cancel()
    return awaited.done()


def _condition(report: Report | None) -> WorkerStatus:
    """Take a worker that is up and says nothing for one that is not ready."""
    if report is not None:
        return report.condition
    return WorkerStatus(ready=False, draining=False, policy="", issuers_without_keys=[], reload_problem="")

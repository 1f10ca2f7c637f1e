"""One worker as its supervisor sees it: a process, and its replacement whenever it ends.

Rules of this module:

* A replacement comes at once if the exit status was 0: the worker was asked to leave. Otherwise it comes after a pause,
  which doubles until a worker has lived for a while, so that one that always fails does not use up the machine.
* The first worker is not replaced unless it has served: the service then fails to start.
* A replacement is given the files of the policy in force, and serves by them if those on disk cannot be used.
* What an ended worker counted stays in the sums, as far as it was reported.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Thread

import structlog
from msgspec import structs
from prometheus_client.core import Metric

from authz.edge.http.memory import WorkerMemory
from authz.edge.http.status import WorkerStatus
from authz.edge.workers.audit_pipe import AuditPipe
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
from authz.edge.workers.metrics_merge import merge, summed
from authz.edge.workers.rewriter_news import RewriterExchange
from authz.edge.workers.sightings import SightingExchange

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds before a worker that failed is replaced; doubled each time, until one has lived `CALM_SECONDS`."""
CALM_SECONDS = 30.0
KEYS_SECONDS = 10.0
"""Longest time that a replacement waits for keys before it takes calls without them."""
_LAST_RECORDS = 2.0
"""Seconds that the last audit records of an ended worker may take to be written."""
_LOG = structlog.get_logger("authz.supervisor")


class WorkerSlot:
    """Runs a worker process, and the next one whenever it ends.

    All of a process's life is `_run_process`: to cancel it kills the process, so that no other method has to clean up.

    Attributes:
        started: resolved with "" once the first process serves, or with the reason why it does not.
        up: whether the present process takes connections.
        restarts: how many processes were replaced.
    """

    def __init__(
        self,
        number: int,
        task: Task,
        command: Sequence[str],
        audit: AuditPipe,
        files: Callable[[], Mapping[str, bytes]],
        sightings: SightingExchange,
        came: RewriterExchange,
    ) -> None:
        """Start a process.

        Args:
            number: what logs call the worker.
            task: what it is to do.
            command: its program; the file descriptor of its channel is appended.
            audit: takes its audit log.
            files: returns the files of the policy in force.
            sightings: passes on what workers see of locked items.
            came: passes on which rewriters came.
        """
        self.started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.up = False
        self.restarts = 0
        self._number, self._task, self._command, self._audit = number, task, command, audit
        self._files, self._came = files, came
        self._sightings = sightings
        sightings.join(self.tell)
        came.join(self.tell)
        self._process: asyncio.subprocess.Process | None = None
        self._channel: WorkerChannel | None = None
        self._status: asyncio.Future[WorkerStatus] | None = None
        self._recalls = 0
        self._recalled: dict[int, asyncio.Future[WorkerMemory]] = {}
        self._metrics: list[Metric] = []
        self._ended_metrics: list[Metric] = []
        self._served = False
        self._ending = False
        self._runner = asyncio.create_task(self._run())

    async def status(self, seconds: float) -> WorkerStatus:
        """Ask the worker for its status and metrics; one that does not answer within `seconds` is not ready.

        All who ask before it answers share the answer, so that a worker that hangs collects no questions.
        """
        if self._status is None or self._status.done():
            self._status = asyncio.get_running_loop().create_future()
            self._send(Ask())
        try:
            return await asyncio.wait_for(asyncio.shield(self._status), seconds)
        except TimeoutError:
            return WorkerStatus(ready=False)

    async def recall(self, why: str, seconds: float) -> WorkerMemory:
        """Ask the worker for what it remembers; one that does not answer within `seconds` remembers nothing."""
        self._recalls += 1
        number = self._recalls
        answer = self._recalled[number] = asyncio.get_running_loop().create_future()
        self._send(Recall(number, why))
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            return WorkerMemory()
        finally:
            del self._recalled[number]

    def metrics(self) -> list[Metric]:
        """Return the metrics last reported, and what ended workers counted."""
        return [*self._metrics, *self._ended_metrics]

    def signal(self, number: signal.Signals) -> None:
        """Send the worker a signal, if it serves."""
        if self.up and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def end(self) -> None:
        """Tell the worker that the whole service ends, and wait until it has ended."""
        self._ending = True
        if self._served:  # also of a process that is leaving: it may still write audit records
            self._send(End())
        else:
            self._runner.cancel()
        await asyncio.wait([self._runner])

    async def kill(self) -> None:
        """End the worker at once."""
        self._runner.cancel()
        await asyncio.wait([self._runner])

    async def _run(self) -> None:
        task, pause = self._task, FIRST_PAUSE
        while True:
            born = time.monotonic()
            status = await self._run_process(task)
            if self._ending or self.started.result():  # the service ends, or its start has failed
                return
            _LOG.warning("worker ended", worker=self._number, status=status)
            if time.monotonic() - born > CALM_SECONDS:
                pause = FIRST_PAUSE
            if status:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            self.restarts += 1
            # The other workers have every issuer's keys; one without them would refuse tokens that they accept.
            task = structs.replace(self._task, hold=KEYS_SECONDS, files=dict(self._files()))

    async def _run_process(self, task: Task) -> int:
        """Run one process until it ends, and return its exit status; kill it if this is cancelled."""
        try:
            process, channel, copying = await _spawn(self._command, task, self._audit)
        except OSError as error:
            _LOG.error("worker cannot be started", worker=self._number, problem=error.strerror)
            self._settle(f"a worker cannot be started: {error.strerror}")
            return 1
        self._process, self._channel, self._status = process, channel, None
        try:
            # To close the channel ends the process too, if it is one that sent something that is no message.
            async with contextlib.aclosing(channel):
                while (message := await channel.receive()) is not None:
                    self._take(message, process.pid)
                self.up = False
            self._answer(WorkerStatus(ready=False))
            return await process.wait()
        finally:
            self.up = False
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            status = await process.wait()
            self._settle(f"a worker ended with status {status} before it served")
            await asyncio.to_thread(copying.join, _LAST_RECORDS)
            self._ended_metrics = merge([self._ended_metrics, summed(self._metrics)])
            self._metrics = []
            self._served = False

    def _take(self, message: object, pid: int) -> None:
        match message:
            case Report(status, metrics):
                self._metrics = metrics
                self._answer(status)
            case Recalled(number, memory):
                self._remember(number, memory)
            case Sighting():
                self._sightings.tell(message, self.tell)
            case Came():
                self._came.tell(message)
            case Started(problem=""):
                self.up = self._served = True
                for sighting in self._sightings.known():
                    self.tell(sighting)
                self.tell(self._came.known())
                self._settle("")
                _LOG.info("worker serves", worker=self._number, pid=pid)
            case Started(problem):
                self._settle(problem)
                _LOG.error("worker cannot serve", worker=self._number, pid=pid, problem=problem)

    def _remember(self, number: int, memory: WorkerMemory) -> None:
        asked = self._recalled.get(number)
        if asked is not None and not asked.done():
            asked.set_result(memory)

    def _answer(self, status: WorkerStatus) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_result(status)

    def _settle(self, problem: str) -> None:
        if not self.started.done():
            self.started.set_result(problem)

    def tell(self, message: Came | Sighting) -> None:
        """Tell the worker what another one saw, if it serves."""
        if self.up:
            self._send(message)

    def _send(self, message: Ask | Recall | Came | End | Sighting) -> None:
        if self._channel is not None:
            self._channel.send(message)


async def _spawn(
    command: Sequence[str], task: Task, audit: AuditPipe
) -> tuple[asyncio.subprocess.Process, WorkerChannel, Thread]:
    ours, theirs = socket.socketpair()
    pipe, output = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(theirs.fileno()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # a Ctrl-C in the terminal is for the supervisor, which tells its workers
        )
    except BaseException:
        ours.close()
        os.close(pipe)
        raise
    finally:
        theirs.close()
        os.close(output)
    channel = await WorkerChannel.open(ours)
    channel.send(task)
    return process, channel, audit.copy_from(pipe)

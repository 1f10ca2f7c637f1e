"""One worker process, as its supervisor sees it."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Sequence
from threading import Thread
from typing import Self

from authz.edge.workers.audit_pipe import AuditPipe
from authz.edge.workers.ipc import Ask, End, Failed, Report, Started, Task, WorkerChannel

_LAST_LINES = 2.0
"""Seconds that the last records of an ended worker may take to be written."""


class Worker:
    """A process that decides.

    Attributes:
        pid: its process id.
        began: resolved with "" once it serves, else with why it does not.
        last: what it reported last.
    """

    def __init__(self, process: asyncio.subprocess.Process, line: WorkerChannel, copying: Thread) -> None:
        """Take a process that was started; see `start`."""
        self.pid = process.pid
        self.began: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.last: Report | None = None
        self._process, self._line, self._copying = process, line, copying
        self._asked: asyncio.Future[None] | None = None
        self._ended = asyncio.create_task(self._live())

    @classmethod
    async def start(cls, command: Sequence[str], task: Task, pump: AuditPipe) -> Self:
        """Start a process with the file descriptor of its line as last argument.

        It leads a session: a Ctrl-C in the terminal is for the supervisor, which then tells its workers.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        pipe, output = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            os.close(pipe)
            raise
        finally:
            theirs.close()
            os.close(output)
        line = await WorkerChannel.on(ours)
        line.send(task)
        return cls(process, line, pump.begin(pipe))

    @property
    def up(self) -> bool:
        """Whether it takes connections."""
        serving = self.began.done() and not self.began.result()
        return serving and not self._ended.done()

    async def report(self, seconds: float) -> Report | None:
        """Ask how it is; None when it does not say within so many seconds. Who asks meanwhile gets the same answer."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.get_running_loop().create_future()
            self._line.send(Ask())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._asked), seconds)
            return self.last
        return None

    def end(self) -> None:
        """Tell it that the whole service ends."""
        self._line.send(End())

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended and its last records are written; gives its exit status."""
        return await asyncio.shield(self._ended)

    async def _live(self) -> int:
        while (message := await self._line.receive()) is not None:
            if isinstance(message, Report):
                self._heard(message)
            elif isinstance(message, Started | Failed):
                self._says("" if isinstance(message, Started) else message.why)
        status = await self._process.wait()
        self._says(f"a worker ended with status {status} before it served")
        await asyncio.to_thread(self._copying.join, _LAST_LINES)
        await self._line.close()
        return status

    def _heard(self, report: Report) -> None:
        self.last = report
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)

    def _says(self, problem: str) -> None:
        if not self.began.done():
            self.began.set_result(problem)

"""Child processes of the demo and the tests: started one after another, watched, and ended with their parent.

Rules of this module:

* A child has started when its own probe holds, within a deadline. A child that ends early, is late, or finds another
  process on its port is a `StartFailed`, which shows the end of its log.
* Every child leads a session, so that a signal also reaches its workers. A Ctrl-C in the terminal reaches only the
  parent, which ends the children in order: it terminates them, and kills them after a limit.
* A parent that is killed cannot clean up. It therefore tells its process groups to a guard, which kills them when the
  parent is gone. Linux's PR_SET_PDEATHSIG would need no process, but it follows the thread that forked, spares
  grandchildren, and exists only on Linux.
* Between the fork and the message to the guard, no one knows about a child. A child therefore starts as a shell that
  waits for a line, and only then becomes its program. If the parent dies before it sends the line, the shell reads the
  end of its input and exits.
* Logs are kept if something failed, and removed otherwise.

Not handled: a child that leaves its session on purpose.
"""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from authz.demo.probes import Probe
from authz.demo.process_guard import Guard

_POLL_SECONDS = 0.02
_TAIL_LINES = 20
_TERMINATED = 128 + signal.SIGTERM
_WAIT_FOR_LINE = ("/bin/sh", "-c", 'read -r word && exec "$@" </dev/null', "sh")


class StartFailed(RuntimeError):  # noqa: N818 - reads as what happened
    """A child did not start: it ended, was late, or its port is taken. The text ends with the tail of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """The command that starts a child process.

    Attributes:
        name: the name in errors and of the log file.
        argv: the program and its arguments.
        ready: a probe that holds when the child is up, and does not hold before it is started.
        env: variables in addition to the parent's.
        deadline: seconds that it may take to start.
    """

    name: str
    argv: Sequence[str | os.PathLike[str]]
    ready: Probe
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    deadline: float = 60.0


class Supervisor:
    """Context manager that starts children and ends all of them on exit, also on an exception or a signal.

    In the main thread, SIGTERM becomes SystemExit(143) while it is open, and signals cannot interrupt the exit.

    Attributes:
        logs: the directory of the children's logs (stdout and stderr), one file per name; a restart appends to it.
        failed: whether to keep the logs; set by a failed start, an exception, a child that died, or the caller.
    """

    def __init__(self, *, grace: float = 3.0) -> None:
        """Start nothing before the context is entered.

        Args:
            grace: seconds between SIGTERM and SIGKILL.
        """
        self.logs = Path()
        self.failed = False
        self._grace = grace
        self._children: dict[str, Child] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._handlers: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._guard = Guard()
        self.logs = Path(tempfile.mkdtemp(prefix="mcp-authz-"))
        self._handlers = _set_handlers({signal.SIGTERM: _exit_on_signal})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        interrupted = _set_handlers({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN})
        try:
            self.failed |= _is_failure(error) or not all(map(self.running, self._running))
            self._end(reversed(list(self._running)))
            self._guard.close()
            self._keep_or_remove_logs()
        finally:
            _set_handlers(interrupted | self._handlers)

    def start(self, child: Child) -> float:
        """Start a child and wait until it is ready.

        Returns:
            The seconds until it was ready.

        Raises:
            StartFailed: the child did not start and was ended.
            ValueError: a child of this name is running.
        """
        if self.running(child.name):
            msg = f"{child.name} is running"
            raise ValueError(msg)
        self.stop(child.name)
        began = time.monotonic()
        try:
            self._bring_up(child, began + child.deadline)
        except BaseException as error:  # an interrupt too must leave no process behind; it goes on
            self.failed |= _is_failure(error)
            self.stop(child.name)
            raise
        self._children[child.name] = child
        return time.monotonic() - began

    def restart(self, name: str) -> float:
        """End a child if it is running, and start it again with the same command; see `start`."""
        self.stop(name)
        return self.start(self._children[name])

    def stop(self, name: str) -> None:
        """End one child and its descendants, if it is running."""
        if name in self._running:
            self._end([name])

    def send(self, name: str, signum: signal.Signals) -> None:
        """Send a signal to a child and its descendants, for example SIGSTOP to make it hang."""
        _signal_group(self._running[name], signum)

    def running(self, name: str) -> bool:
        """Tell whether the child was started and has not ended."""
        return name in self._running and self._running[name].poll() is None

    def log(self, name: str) -> Path:
        """Return the file with a child's output."""
        return self.logs / f"{name}.log"

    def _bring_up(self, child: Child, deadline: float) -> None:
        if child.ready():
            raise self._start_failed(child.name, "was not started: another process answers in its place")
        process = self._spawn(child)
        while True:
            if process.poll() is not None:
                raise self._start_failed(child.name, f"ended with status {process.returncode}")
            if child.ready() and process.poll() is None:
                return
            if time.monotonic() > deadline:
                raise self._start_failed(child.name, f"was not ready within {child.deadline:g} s")
            time.sleep(_POLL_SECONDS)

    def _spawn(self, child: Child) -> subprocess.Popen[bytes]:
        argv = [os.fspath(part) for part in child.argv]
        if shutil.which(argv[0]) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
        with self.log(child.name).open("ab") as output:
            process = subprocess.Popen(
                [*_WAIT_FOR_LINE, *argv],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **child.env},
                start_new_session=True,
            )
        self._running[child.name] = process
        self._guard.watch(process.pid)
        _tell(process)
        return process

    def _start_failed(self, name: str, what: str) -> StartFailed:
        try:
            lines = self.log(name).read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        except FileNotFoundError:
            lines = []
        return StartFailed("\n".join([f"{name} {what}", *lines]))

    def _end(self, names: Iterable[str]) -> None:
        ending = [self._running.pop(name) for name in names]
        for process in ending:
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + self._grace
        for process in ending:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait(self._grace)
            self._guard.forget(process.pid)

    def _keep_or_remove_logs(self) -> None:
        if self.failed:
            sys.stderr.write(f"logs of the processes: {self.logs}\n")
        else:
            shutil.rmtree(self.logs, ignore_errors=True)


def _tell(process: subprocess.Popen[bytes]) -> None:
    """Send the line that lets a process become its program, after the guard knows about it."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(b"go\n")


def _signal_group(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    # A group exists as long as one of its members. If only a zombie is left, Linux says ESRCH and macOS EPERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signum)


def _exit_on_signal(_signum: int, _frame: FrameType | None) -> None:
    raise SystemExit(_TERMINATED)


def _is_failure(error: BaseException | None) -> bool:
    if isinstance(error, SystemExit):
        return error.code not in {None, 0, _TERMINATED}
    return error is not None and not isinstance(error, KeyboardInterrupt)


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> dict[signal.Signals, Any]:
    """Install signal handlers and return the previous ones; do nothing outside the main thread, as Python requires."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {signum: signal.signal(signum, handler) or signal.SIG_DFL for signum, handler in handlers.items()}

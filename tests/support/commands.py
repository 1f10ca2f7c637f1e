"""Runs of the command line: in this process where nothing is served, in one of its own where something could be."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest.mock import patch

import structlog

from authz.cli import main
from tests.support.waiting import DEADLINE


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def command(*arguments, environment=None, given=None):
    """Run a command in this process, with no variables but the given ones; what it sets for its log is undone."""
    out, err = io.StringIO(), io.StringIO()
    log, configure = structlog.get_config(), structlog.configure
    argv = ["mcp-authz", *map(str, arguments)]
    variables = {"NO_COLOR": "1", "TERM": "dumb", **(environment or {})}
    with (
        patch.object(sys, "argv", argv),
        patch.object(
            sys, "stdin", sys.stdin if given is None else io.TextIOWrapper(io.BytesIO(given.encode()))
        ),
        # A logger that is kept would go on writing to this command's stderr.
        patch.object(
            structlog, "configure", lambda **so: configure(**so | {"cache_logger_on_first_use": False})
        ),
        patch.dict(os.environ, variables, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            status = 0
        except SystemExit as ended:
            status = ended.code
        finally:
            configure(**log)
    return Ended(status or 0, out.getvalue(), err.getvalue())


def spawn(*arguments, environment=None):
    """Run a command in a process of its own to its end, with no variables but the given ones and coverage's."""
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    ended = subprocess.run(
        [sys.executable, "-m", "authz", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            **measured,
            **(environment or {}),
        },
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)

"""`mcp-authz demo`: it holds, it can fail, and it leaves nothing behind."""

import contextlib
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
import typer

from authz.cli import demo as command
from authz.demo import stack as stack_module
from authz.demo.ports import free_port
from authz.demo.scenarios import changes, locked, login, requests, run
from tests.support.running import shared_stack
from tests.support.waiting import attempts, eventually
from tests.support.wire import ask, message

pytestmark = pytest.mark.envoy

_LIMIT = 300.0
"""Seconds after which a test gives up: the whole demo takes some ten, and a minute or two on a busy machine."""
_KEPT = "Ctrl-C ends the demo."


@pytest.fixture
def place():
    """A place for the command's files; short, because the path of a Unix socket has at most about a hundred bytes."""
    path = Path(tempfile.mkdtemp(prefix="ma"))
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def _demo(place: Path, log: Path, port: int, *options: str):
    """The command as a separate process, killed at the latest after the test; its guard ends the rest."""
    with log.open("wb") as output:
        argv = [sys.executable, "-m", "authz", "demo", "--port", str(port), *options]
        environment = {**os.environ, "COLUMNS": "200", "TMPDIR": str(place)}
        process = subprocess.Popen(
            argv, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(_LIMIT)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True)
    pairs = (map(int, line.split()) for line in listed.stdout.splitlines())
    return [child for child, parent in pairs if parent == pid]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_row_of_the_table_holds_and_what_is_kept_is_as_the_command_says(tmp_path, place):
    log, port = tmp_path / "demo.log", free_port()
    with _demo(place, log, port, "--keep") as demo:
        assert any(demo.poll() is not None or _KEPT in log.read_text("utf-8") for _ in attempts(_LIMIT))
        written = log.read_text("utf-8")
        lines = written.splitlines()
        tokens = [lines[lines.index(f"{count} of 5 tools:") + 1] for count in (3, 4, 5)]
        seen = [len(ask(port, token, message("tools/list")).tools) for token in tokens]
        demo.send_signal(signal.SIGINT)
        status = demo.wait(_LIMIT)
    held, rows = re.search(r"(\d+) of (\d+) held", written).groups()

    assert (0, held) == (status, rows), written
    assert int(rows) == len(re.findall(r"^ok +", written, re.MULTILINE))
    assert 50 < int(rows)
    assert ([3, 4, 5], f"http://localhost:{port}/mcp") == (seen, _url(lines))
    assert [] == list(place.iterdir())


def _url(lines: list[str]) -> str:
    return next(line.split()[2] for line in lines if line.startswith("MCP endpoint"))


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_in_the_middle_ends_every_part(tmp_path, place, signum):
    port = free_port()
    with _demo(place, tmp_path / "demo.log", port) as demo:
        assert eventually(lambda: demo.poll() is not None or _answers(port))
        children = _children(demo.pid)
        demo.send_signal(signum)
        status = demo.wait(_LIMIT)

    assert 5 <= len(children)
    assert 0 != status
    assert eventually(lambda: not any(map(_alive, children)))
    assert signum == signal.SIGKILL or [] == list(place.iterdir())


def _answers(port: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        url = f"http://127.0.0.1:{port}/mcp"
        return httpx.get(url, trust_env=False, timeout=5.0).status_code in {401, 403}
    return False


@pytest.fixture
def on_shared_parts(pytestconfig, monkeypatch):
    """The command with processes that already run, and one scenario."""
    stack = shared_stack(pytestconfig)

    class Running:
        def __init__(self, _port, idp):
            assert idp == "auth0"

        def __enter__(self):
            return stack

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(stack_module, "Stack", Running)
    monkeypatch.setattr(run, "run_all", requests.bad_tokens)
    failed = stack.supervisor.failed
    yield stack
    stack.supervisor.failed = failed


def test_a_scenario_that_holds_ends_without_an_error(on_shared_parts, capsys):
    command.demo(keep=False, port=free_port(), idp="auth0")

    assert "9 of 9 held" in capsys.readouterr().out
    assert not on_shared_parts.supervisor.failed


def test_one_row_that_does_not_hold_makes_the_command_fail_and_keeps_the_logs(
    on_shared_parts, monkeypatch, capsys
):
    monkeypatch.setitem(requests.BAD_TOKENS, "expired", "bad_signature")
    with pytest.raises(typer.Exit) as failure:
        command.demo(keep=False, port=free_port(), idp="auth0")

    assert 1 == failure.value.exit_code
    assert "8 of 9 held" in (out := capsys.readouterr().out)
    assert "401 expired_token" in out
    assert on_shared_parts.supervisor.failed


def test_every_scenario_runs_once():
    written = {
        scenario
        for module in (requests, changes, login, locked)
        for name, scenario in vars(module).items()
        if inspect.isasyncgenfunction(scenario) and not name.startswith("_")
    }

    assert written == set(run.SCENARIOS)
    assert len(written) == len(run.SCENARIOS)


def test_a_port_in_use_is_said_before_anything_starts(pytestconfig, capsys):
    taken = shared_stack(pytestconfig).gateways["native"].ports.envoy
    with pytest.raises(typer.Exit) as failure:
        command.demo(keep=False, port=taken, idp="auth0")

    assert 1 == failure.value.exit_code
    assert f"port {taken} is in use" in capsys.readouterr().err

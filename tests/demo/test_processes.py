"""Child processes: ready, early dead, stubborn, and never outliving their parent."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from authz.demo.ports import free_port
from authz.demo.probes import port_ready
from authz.demo.processes import Child, StartFailed, Supervisor
from tests.support.waiting import DEADLINE, eventually

SERVE = (
    "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('up', flush=True)\n"
)
FOREVER = "while True: s.accept()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def child(name="server", code=SERVE + FOREVER, *, port=None, **options):
    port = port or free_port()
    ready = port_ready("127.0.0.1", port)
    return Child(name=name, argv=[sys.executable, "-c", code, str(port)], ready=ready, **options)


def remove_logs(supervisor):
    for log in supervisor.logs.iterdir():
        log.unlink()
    supervisor.logs.rmdir()


# Whether a process is gone is read from a connection that it holds: its end closes when the last holder dies,
# which needs neither process numbers nor a reaper.


@pytest.fixture
def lives():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE)
        yield listening


def taken(lives):
    life, _ = lives.accept()
    life.settimeout(DEADLINE)
    return life


def ended(life):
    with life:
        try:
            return life.recv(1) == b""
        except ConnectionResetError:
            return True


HOLD = """
import socket, sys, time
life = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
time.sleep(600)
"""
PARENT = """
import os, signal, subprocess, sys, time
from authz.demo.processes import Child, Supervisor

code, way, lives = sys.argv[1:]
marks = iter([False])
with Supervisor(grace=0.5) as supervisor:
    argv = [sys.executable, "-c", code, "0", lives]
    supervisor.start(Child(name="held", argv=argv, ready=lambda: next(marks, True)))
    print(supervisor.logs, flush=True)
    sys.stdin.read(1)
    if way == "exception":
        raise RuntimeError("on purpose")
    if way == "os._exit":
        os._exit(7)
    if way in ("SIGINT", "SIGTERM", "SIGKILL"):
        os.kill(os.getpid(), signal.Signals[way])
        time.sleep(600)
"""
WITH_GRANDCHILD = (
    f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {HOLD!r}, *sys.argv[1:]])\n" + HOLD
)
WAYS = {
    "return": (0, False),
    "SIGTERM": (143, False),
    "SIGINT": (-signal.SIGINT, False),
    "exception": (1, True),
    "os._exit": (7, True),
    "SIGKILL": (-signal.SIGKILL, True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "code", [HOLD, STUBBORN + HOLD, WITH_GRANDCHILD], ids=["plain", "stubborn", "grandchild"]
)
def test_however_a_parent_ends_its_children_end_with_it(lives, way, code):
    status, logs_stay = WAYS[way]
    argv = [sys.executable, "-c", PARENT, code, way, str(lives.getsockname()[1])]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        try:
            held = [taken(lives) for _ in range(2 if code == WITH_GRANDCHILD else 1)]
            logs = Path(parent.stdout.readline().decode().strip())
            parent.communicate(b"x", timeout=DEADLINE)
        finally:
            parent.kill()  # else a parent that does not end would be waited for without end

    try:
        assert [True] * len(held) == [ended(life) for life in held]
        assert status == parent.returncode
        assert logs_stay == logs.exists()
    finally:
        for log in logs.glob("*.log"):
            log.unlink()
        with contextlib.suppress(FileNotFoundError):
            logs.rmdir()


INTERRUPTED = """
import os, signal, sys
from authz.demo.process_guard import Guard
from authz.demo.processes import Child, Supervisor

def watch(guard, group):
    print(group, flush=True)
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])

Guard.watch = watch
with Supervisor(grace=0.5) as supervisor:
    print(supervisor.logs, flush=True)
    supervisor.start(Child(name="held", argv=[sys.executable, "-c", "import time; time.sleep(600)"], ready=lambda: False))
"""


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_parent_that_ends_before_its_guard_knows_of_a_child_leaves_none(way):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, way], capture_output=True, timeout=DEADLINE, check=False
    )
    logs, group = done.stdout.decode().split()

    try:
        assert 0 != done.returncode
        assert gone(int(group))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(group), signal.SIGKILL)
        shutil.rmtree(logs, ignore_errors=True)


def gone(group):
    """Wait until no process of a group is left."""

    def none_left():
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    return eventually(none_left)


def test_a_started_child_is_ready_and_a_stopped_one_is_gone():
    port = free_port()
    with Supervisor() as supervisor:
        seconds = supervisor.start(child(port=port))
        answered = port_ready("127.0.0.1", port)()
        supervisor.stop("server")

        assert answered
        assert seconds > 0
        assert not supervisor.running("server")
        assert not port_ready("127.0.0.1", port)()


def test_a_stopped_child_starts_again_as_it_was_and_its_log_goes_on():
    port = free_port()
    with Supervisor() as supervisor:
        supervisor.start(child(port=port))
        supervisor.stop("server")
        supervisor.restart("server")
        supervisor.restart("server")

        assert port_ready("127.0.0.1", port)()
        assert ["up"] * 3 == supervisor.log("server").read_text().splitlines()


def test_a_name_is_running_once():
    with Supervisor() as supervisor:
        supervisor.start(child())
        with pytest.raises(ValueError, match="server is running"):
            supervisor.start(child())

        assert supervisor.running("server")


def test_a_child_that_dies_early_is_a_failed_start_that_shows_the_end_of_its_log(capsys):
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit(3)"
    with Supervisor() as supervisor, pytest.raises(StartFailed) as failed:
        supervisor.start(child("broken", code))
    lines = str(failed.value).splitlines()

    assert ["broken ended with status 3", *[f"line {n}" for n in range(80, 100)]] == lines
    assert f"logs of the processes: {supervisor.logs}\n" == capsys.readouterr().err
    remove_logs(supervisor)


def test_a_child_that_is_late_is_a_failed_start_and_is_ended(lives):
    code = "import sys; print('working on it', flush=True)\n" + HOLD
    argv = [sys.executable, "-c", code, "0", str(lives.getsockname()[1])]
    never = Child(name="slow", argv=argv, ready=lambda: False, deadline=0.5)
    with Supervisor() as supervisor:
        with pytest.raises(StartFailed) as failed:
            supervisor.start(never)
        gone = ended(taken(lives))

    assert "slow was not ready within 0.5 s\nworking on it" == str(failed.value)
    assert gone
    remove_logs(supervisor)


def test_a_child_whose_place_is_taken_is_not_started():
    with Supervisor() as supervisor, socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(StartFailed, match="another process answers in its place"):
            supervisor.start(child(port=other.getsockname()[1]))

        assert not supervisor.log("server").exists()
    remove_logs(supervisor)


def test_after_a_program_that_is_not_there_its_name_is_free():
    with Supervisor() as supervisor:
        with pytest.raises(FileNotFoundError):
            supervisor.start(Child(name="server", argv=["no-such-program-here"], ready=lambda: False))
        supervisor.start(child())

        assert supervisor.running("server")
    remove_logs(supervisor)


def test_a_child_that_ignores_sigterm_is_killed_after_the_limit():
    with Supervisor(grace=0.3) as supervisor:
        supervisor.start(child(code=STUBBORN + SERVE + FOREVER))
        process = supervisor._running["server"]
        supervisor.stop("server")

    assert -signal.SIGKILL == process.returncode


def test_a_child_that_heeds_sigterm_may_finish_what_it_does(tmp_path):
    done = tmp_path / "done"
    tidy = f"""
        import pathlib, signal, sys
        def finish(*_):
            pathlib.Path({str(done)!r}).write_text("tidied up")
            sys.exit(0)
        signal.signal(signal.SIGTERM, finish)
    """
    with Supervisor() as supervisor:
        supervisor.start(child(code=textwrap.dedent(tidy) + SERVE + FOREVER))

    assert "tidied up" == done.read_text()


def test_a_hung_child_goes_on_when_told_to():
    port = free_port()
    answer = SERVE + "while True: s.accept()[0].sendall(b'x')"
    with Supervisor() as supervisor:
        supervisor.start(child(code=answer, port=port))
        supervisor.send("server", signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", port), timeout=0.3) as client:
            with pytest.raises(TimeoutError):
                client.recv(1)
            supervisor.send("server", signal.SIGCONT)
            client.settimeout(DEADLINE)

            assert b"x" == client.recv(1)


def test_children_get_the_variables_they_are_given_on_top_of_their_parents(monkeypatch):
    monkeypatch.setenv("KEPT", "from the parent")
    monkeypatch.setenv("CHANGED", "from the parent")
    code = "import os; print(os.environ['KEPT']); print(os.environ['CHANGED'])\n" + SERVE + FOREVER
    with Supervisor() as supervisor:
        supervisor.start(child(code=code, env={"CHANGED": "given"}))

        assert ["from the parent", "given", "up"] == supervisor.log("server").read_text().splitlines()


def test_a_child_has_no_standard_input_to_wait_for():
    with Supervisor() as supervisor:
        supervisor.start(child(code="import sys; sys.stdin.read()\n" + SERVE + FOREVER))

        assert supervisor.running("server")


def test_logs_are_removed_when_all_went_well(capsys):
    with Supervisor() as supervisor:
        supervisor.start(child())

    assert not supervisor.logs.exists()
    assert "" == capsys.readouterr().err


def test_logs_stay_when_the_caller_says_that_something_failed(capsys):
    with Supervisor() as supervisor:
        supervisor.start(child())
        supervisor.failed = True

    assert "up\n" == supervisor.log("server").read_text()
    assert str(supervisor.logs) in capsys.readouterr().err
    remove_logs(supervisor)


def test_logs_stay_when_a_child_died_unasked(lives):
    with Supervisor() as supervisor:
        code = (
            SERVE
            + "import socket, sys\nlife = socket.create_connection(('127.0.0.1', int(sys.argv[2])))\nlife.recv(1)"
        )
        ready = port_ready("127.0.0.1", port := free_port())
        argv = [sys.executable, "-c", code, str(port), str(lives.getsockname()[1])]
        supervisor.start(Child(name="fragile", argv=argv, ready=ready))
        life = taken(lives)
        life.sendall(b"x")
        assert ended(life)
        assert eventually(lambda: not supervisor.running("fragile"))

    assert supervisor.failed
    assert supervisor.logs.exists()
    remove_logs(supervisor)


@pytest.fixture
def handlers():
    """Handlers of our own for both signals, and the test run's own again afterwards."""
    ours = {signum: lambda *_: None for signum in (signal.SIGTERM, signal.SIGINT)}
    before = {signum: signal.signal(signum, handler) for signum, handler in ours.items()}
    yield ours
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_the_handlers_of_signals_are_put_back(handlers):
    with Supervisor():
        assert handlers[signal.SIGTERM] != signal.getsignal(signal.SIGTERM)

    assert handlers == {signum: signal.getsignal(signum) for signum in handlers}


def test_a_supervisor_works_outside_the_main_thread_where_signals_cannot_be_handled():
    outcome = []

    def work():
        with Supervisor() as supervisor:
            supervisor.start(child())
            outcome.append(supervisor.running("server"))
        outcome.append(supervisor.logs.exists())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)

    assert [True, False] == outcome

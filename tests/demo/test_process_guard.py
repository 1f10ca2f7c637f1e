"""The guard of a parent: it kills the process groups that it watches, and no others."""

import subprocess
import sys

import pytest

from authz.demo.process_guard import Guard

LIMIT = 30.0
"""Seconds after which a test gives up waiting."""


@pytest.fixture
def processes():
    """Two processes that wait for their input to end, each in a group of its own."""
    argv = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    started = [
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        for _ in range(2)
    ]
    for process in started:
        assert "up\n" == process.stdout.readline()
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_a_guard_that_ends_kills_what_it_watches_and_spares_what_it_was_told_to_forget(processes):
    watched, forgotten = processes
    guard = Guard()
    for process in processes:
        guard.watch(process.pid)
    guard.forget(forgotten.pid)
    guard.close()

    assert -9 == watched.wait(LIMIT)
    assert "" == forgotten.communicate(timeout=LIMIT)[0]
    assert 0 == forgotten.returncode


def test_a_group_that_is_gone_does_not_stop_the_guard(processes):
    gone, watched = processes
    guard = Guard()
    for process in processes:
        guard.watch(process.pid)
    gone.kill()
    gone.wait(LIMIT)
    guard.close()

    assert -9 == watched.wait(LIMIT)

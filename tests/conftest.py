"""Puts the repository's root on the path, so that tests import `tests.support`; takes hypothesis off the clock, listens to Ctrl-C, and keeps bytecode."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# Some hundred processes are started; where no bytecode is kept, each would compile the whole package for itself.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is slow now and then, which says nothing about the code.
# In CI the examples are the same in every run, so that a failure there can be had again here.
settings.register_profile(
    "mcp-authz",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("mcp-authz")

from tests.support.authorities import share  # noqa: E402 - found on the path as of now

share()

# A run in the background of a shell ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect no garbage while tests are collected, and leave what was collected out of every later collection.

    Sixteen thousand tests are a heap that each full collection would walk again: a fifth of the suite's time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()

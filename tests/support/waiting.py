"""How long a test waits: one bound for the whole suite, that only a hang exceeds.

A machine that does much else is slow and not broken, so no test asks for less. What a test waits for is a condition,
and the wait ends with it: a generous bound costs nothing where the code is right.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

DEADLINE = 60.0
"""Seconds after which a wait is a failure."""
_PAUSE = 0.02


def attempts(seconds: float = DEADLINE) -> Iterator[None]:
    """Yield at once and then after each short pause, until time is up."""
    end, pause = time.monotonic() + seconds, threading.Event()
    yield
    while time.monotonic() < end:
        pause.wait(_PAUSE)
        yield


def eventually(holds: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it; the last answer when time is up."""
    answer = None
    for _ in attempts():
        answer = holds()
        if answer:
            break
    return answer

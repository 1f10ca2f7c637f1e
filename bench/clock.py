"""How long one call of something takes."""

import time
from collections.abc import Callable
from statistics import median

REPEATS = 5


def microseconds(call: Callable[[], object], seconds: float) -> float:
    """Time a call: the median of `REPEATS` averages, in microseconds.

    Args:
        call: what to time; it is called many times.
        seconds: about how long all repeats may take together; a call that takes longer is made once for each.
    """
    share = seconds / REPEATS
    once = _time(call, 1)
    count = max(1, int(share / max(once, 1e-9)))
    if once < 1e-4:
        count = max(1, int(share / max(_time(call, 100) / 100, 1e-9)))
    return median(_time(call, count) / count for _ in range(REPEATS)) * 1e6


def _time(call: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - began

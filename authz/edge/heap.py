"""Keeps short the stops that a big policy makes in a process that serves.

A policy of ten thousand rules is a million objects. Two things would stop every thread for as long as they take, because
both are one call in C:

* The collector of cycles visits what was built since it last looked, for 200 ms. Settings hold no cycles, so references
  alone free them; what a reload builds is put where the collector does not look. So is whatever else exists by then: a
  cycle that others drop while a policy is loaded is never freed, a few objects in each reload.
* The last reference to a policy frees all of it, for 70 ms. Its rules are let go of one by one instead. What its file was
  read into is freed likewise (`authz.config.leftovers`).
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from authz.core.engine import PolicySnapshot
from authz.core.policy.rule import Rule


@contextmanager
def unvisited() -> Iterator[None]:
    """Keep the collector from ever visiting what is built inside; if building fails, it is collected as usual."""
    was_enabled = gc.isenabled()
    gc.collect()  # cheap, and what is garbage by now would otherwise never be freed
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def release(snapshots: list[PolicySnapshot]) -> None:
    """Empty a list of snapshots, and free what nothing else refers to in a thread of its own.

    A Check that still decides by one keeps it alive, and frees it in one piece.
    """
    rules = [rule for each in snapshots for server in each.servers.values() for rule in server.policy.rules]
    snapshots.clear()  # the rules are held by the list alone from now on
    if rules:
        Thread(target=_let_go, args=(rules,), name="release", daemon=True).start()


def _let_go(rules: list[Rule]) -> None:
    # Between two rounds of a loop other threads may run; within `rules.clear()` they may not.
    while rules:
        rules.pop()

"""A reload makes short stops: nothing that it builds is visited by the collector, and nothing big is freed at once."""

import gc
import sys
import threading

import pytest

from authz.config.load import load
from authz.edge import heap
from authz.edge.heap import release, unvisited
from authz.edge.snapshots import Snapshots
from tests.support.core import changed, rule, server, snapshot

POLICY = """
issuers:
  main: {issuer: "https://issuer.example/", audiences: ["https://mcp.example/mcp"]}
servers:
  demo:
    resource: https://mcp.example/mcp
    issuers: [main]
    rules:
      - {name: staff, allow: {tools: [echo, "read_*"]}, when: '"staff" in roles', scopes: [mcp:use]}
      - {name: mine, allow: {resources: ["file:///public/*"]}, args: 'args.n > 1'}
      - {name: never, deny: {tools: [delete_file]}, hide: true}
"""


@pytest.fixture
def collected():
    """Leave the collector as it was; what the test freezes is seen again."""
    yield
    gc.enable()
    gc.unfreeze()


def cycles_of(build):
    """Return how many objects of our own only the collector can free of what `build` returns."""
    gc.collect()
    gc.disable()
    try:
        build()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return [each for each in gc.garbage if type(each).__module__.startswith("authz.")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_settings_hold_no_cycles_so_that_references_alone_free_them(tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)

    assert [] == cycles_of(lambda: load(str(file)))


def test_what_is_built_is_never_visited_and_the_collector_goes_on_for_the_rest(collected):
    with unvisited():
        assert not gc.isenabled()
        built = [[]]

    assert gc.isenabled()
    assert not any(each is built for each in gc.get_objects())


def test_what_failed_is_collected_as_usual(collected):
    frozen = gc.get_freeze_count()
    with pytest.raises(ValueError, match="bad"), unvisited():
        int("bad")

    assert (True, frozen) == (gc.isenabled(), gc.get_freeze_count())


ALONE = 2
"""References to what only the test holds: its own, and that of the question."""


def test_the_rules_of_a_policy_that_is_not_kept_any_more_are_let_go_of_one_by_one(monkeypatch):
    seen = []
    monkeypatch.setattr(heap, "_let_go", lambda rules: seen.append(len(rules)))
    first = rule(name="a")
    snapshots = Snapshots(changed(snapshot(server(first, rule(name="b"))), digest="0"))
    for digest in "123":
        release(snapshots.put_in_force(changed(snapshot(server(rule(name="c"))), digest=digest)))
    assert [] == seen
    assert ALONE < sys.getrefcount(first)

    release(snapshots.put_in_force(changed(snapshot(server(rule(name="c"))), digest="4")))
    _join()
    assert [2] == seen
    assert ALONE == sys.getrefcount(first)


def test_nothing_is_left_of_what_is_released():
    first = rule(name="a")
    dropped = [snapshot(server(first, rule(name="b")))]
    release(dropped)
    _join()

    assert [] == dropped
    assert ALONE == sys.getrefcount(first)


def _join():
    for thread in threading.enumerate():
        if thread.name == "release":
            thread.join(10)

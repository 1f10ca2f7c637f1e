"""One short fault, so that `make chaos` starts, judges and cleans up."""

import asyncio

import pytest

from tests.chaos.run import run

pytestmark = pytest.mark.envoy


def test_a_stopped_worker_changes_no_answer_and_lets_nothing_through():
    report = asyncio.run(run(iter([["worker stopped"]]), seconds=1.0, seed=7))

    assert ([], []) == (report.wrong, report.forbidden)
    assert ["calm", "worker stopped"] == [row.fault for row in report.rows]
    assert all(row.right and row.upstream for row in report.rows)
    assert report.events > 0

import asyncio

import pytest

from authz.edge.http.status import WorkerReport, WorkerStatus, overall
from authz.edge.shutdown import ShutdownSignal
from tests.support.services import service

READY = WorkerStatus(ready=True, policy="a")


def report(shutdown=None, **changes):
    """Return the status of a worker, with these changes to its service."""
    with service() as running:
        for name, value in changes.items():
            setattr(running, name, value)
        return asyncio.run(WorkerReport(running, shutdown).status())


def test_a_worker_with_every_issuers_keys_is_ready():
    assert WorkerStatus(ready=True) == report()


def test_a_worker_without_an_issuers_keys_is_not_ready_and_names_the_issuer():
    status = report(without_keys=lambda: ["https://i/"])

    assert (False, ["https://i/"]) == (status.ready, status.issuers_without_keys)


def test_a_worker_that_ends_is_draining_and_not_ready():
    shutdown = ShutdownSignal()
    before = report(shutdown)
    shutdown.request()
    after = report(shutdown)

    assert [(True, False), (False, True)] == [(status.ready, status.draining) for status in (before, after)]


def test_a_worker_that_lost_its_socket_is_not_ready_and_says_so():
    status = report(socket_problem=lambda: "the socket is gone")

    assert (False, "the socket is gone") == (status.ready, status.socket_problem)


def test_a_file_that_could_not_be_used_is_reported_and_leaves_the_worker_ready():
    status = report(problem="line 3")

    assert (True, "line 3") == (status.ready, status.reload_problem)


@pytest.mark.parametrize(
    ("workers", "draining", "expected"),
    [
        ([READY, READY], False, READY),
        ([READY, READY], True, WorkerStatus(ready=False, draining=True, policy="a")),
        ([], False, WorkerStatus(ready=False)),
        ([READY, WorkerStatus(ready=False)], False, WorkerStatus(ready=False, policy="a, ")),
        (
            [READY, WorkerStatus(ready=True, policy="b", reload_problem="line 3")],
            False,
            WorkerStatus(ready=True, policy="a, b", reload_problem="line 3"),
        ),
        (
            [
                WorkerStatus(ready=False, policy="a", issuers_without_keys=["y", "x"]),
                WorkerStatus(ready=False, policy="a", issuers_without_keys=["x"]),
            ],
            False,
            WorkerStatus(ready=False, policy="a", issuers_without_keys=["x", "y"]),
        ),
    ],
    ids=["all ready", "draining", "none up", "one silent", "two policies", "keys missing"],
)
def test_a_service_is_ready_when_a_worker_is_up_and_every_worker_that_is_up_is_ready(
    workers, draining, expected
):
    assert expected == overall(workers, draining=draining)

"""What a worker answers its supervisor, and how it learns that it is to end."""

import asyncio
import socket
import time

import pytest

from authz.core.response.presence import ALONE, DUE_SECONDS
from authz.edge.shutdown import ShutdownSignal
from authz.edge.workers.ipc import Ask, Came, End, Report, WorkerChannel
from authz.edge.workers.worker import SupervisorControl
from tests.support.services import service
from tests.support.waiting import DEADLINE


def play(scenario):
    """Run a scenario with the supervisor's channel, the control of a worker that serves, and its shutdown signal."""

    async def run():
        ours, theirs = [await WorkerChannel.open(end) for end in socket.socketpair()]
        shutdown, control = ShutdownSignal(), SupervisorControl(theirs)
        with service() as running:
            control.begin(running, shutdown)
            try:
                return await asyncio.wait_for(scenario(ours, control, shutdown), DEADLINE)
            finally:
                await control.end()
                await theirs.aclose()
                await ours.aclose()

    return asyncio.run(run())


def test_each_question_is_answered_with_status_and_metrics():
    async def scenario(supervisor, _control, shutdown):
        reports = []
        for _ in range(2):
            supervisor.send(Ask())
            reports.append(await supervisor.receive())
            shutdown.request()
        return reports

    reports = play(scenario)

    assert [(True, False), (False, True)] == [(r.status.ready, r.status.draining) for r in reports]
    assert all("mcp_authz_decisions" in {metric.name for metric in r.metrics} for r in reports)


def test_a_worker_reports_once_more_when_it_ends():
    async def scenario(supervisor, control, _shutdown):
        await control.end()
        return await supervisor.receive()

    assert isinstance(play(scenario), Report)


def test_a_worker_that_never_served_reports_nothing():
    async def run():
        ours, theirs = [await WorkerChannel.open(end) for end in socket.socketpair()]
        await SupervisorControl(theirs).end()
        await theirs.aclose()
        received = await asyncio.wait_for(ours.receive(), DEADLINE)
        await ours.aclose()
        return received

    assert None is asyncio.run(run())


@pytest.mark.parametrize("signalled", [False, True])
def test_the_end_of_the_service_begins_to_end_the_worker_and_does_not_hurry_one_that_ends(signalled):
    async def scenario(supervisor, _control, shutdown):
        if signalled:
            shutdown.request()
        supervisor.send(End())
        supervisor.send(Ask())  # answered after the messages before it
        await supervisor.receive()
        return shutdown.begun.is_set(), shutdown.quietly, shutdown.at_once.is_set()

    assert (True, False, False) == play(scenario)


def test_a_worker_whose_supervisor_is_gone_ends_quietly():
    async def scenario(supervisor, _control, shutdown):
        await supervisor.aclose()
        await shutdown.begun.wait()
        return shutdown.quietly

    assert play(scenario)


def test_a_worker_tells_which_rewriters_came_and_hears_of_its_siblings():
    async def run():
        ours, theirs = [await WorkerChannel.open(end) for end in socket.socketpair()]
        control = SupervisorControl(theirs)
        with service() as running:
            control.begin(running, ShutdownSignal())
            for _ in range(ALONE):
                running.presence.asked("elsewhere")
            running.presence.came("here")
            told = await asyncio.wait_for(ours.receive(), DEADLINE)
            ours.send(Came(["elsewhere"]))
            ours.send(Ask())  # answered after the message before it
            await ours.receive()
            running.presence._clock = lambda: time.monotonic() + DUE_SECONDS
            missing = running.presence.missing_at()
            await control.end()
        await theirs.aclose()
        await ours.aclose()
        return told, missing

    assert (Came(["here"]), []) == asyncio.run(run())

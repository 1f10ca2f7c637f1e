"""What a worker answers its supervisor, and how it learns that it is to end."""

import asyncio
import socket

import pytest

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


async def with_sibling(scenario):
    """Play a scenario with a worker's supervisor and its service."""
    ours, theirs = [await WorkerChannel.open(end) for end in socket.socketpair()]
    control = SupervisorControl(theirs)
    with service() as running:
        control.begin(running, ShutdownSignal())
        try:
            return await asyncio.wait_for(scenario(ours, running), DEADLINE)
        finally:
            await control.end()
            await theirs.aclose()
            await ours.aclose()


def test_a_worker_tells_at_once_which_rewriters_came_and_hears_of_its_siblings():
    async def scenario(supervisor, running):
        await asyncio.to_thread(running.rewriters.presence.came, "here", "ann")
        told = await supervisor.receive()
        before = running.rewriters.presence.refuses("elsewhere", "ann")
        supervisor.send(Came({"elsewhere": ["ann"]}))
        supervisor.send(Ask())  # answered after the message before it
        await supervisor.receive()
        return told, before, running.rewriters.presence.refuses("elsewhere", "ann")

    assert (Came({"here": ["ann"]}), True, False) == asyncio.run(with_sibling(scenario))


@pytest.mark.parametrize(("listener", "found"), [("elsewhere", True), ("nowhere", False)])
def test_a_list_that_would_be_refused_waits_a_moment_for_word_of_a_sibling(listener, found):
    async def scenario(supervisor, running):
        search = asyncio.create_task(running.rewriters.wait_for_word(listener, "ann"))
        for callers in ({"another": []}, {"elsewhere": []}):
            supervisor.send(Came(callers))
        return await search

    assert found is asyncio.run(with_sibling(scenario))

"""The supervisor and its workers' slots, over real processes that speak the channel and decide nothing."""

import asyncio
import dataclasses
import signal
import sys
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from authz.config.settings import Drain
from authz.edge.shutdown import ShutdownSignal
from authz.edge.workers import process, supervisor
from authz.edge.workers.ipc import Came, Task
from authz.edge.workers.process import KEYS_SECONDS
from authz.edge.workers.rewriter_news import RewriterExchange
from authz.edge.workers.supervisor import StartError, WorkerSupervisor
from tests.support.policy_files import NATIVE, settings
from tests.support.serving import alive
from tests.support.waiting import DEADLINE

WORKER = """
import asyncio, os, signal, socket, sys
from prometheus_client.core import CounterMetricFamily
from authz.edge.http.status import WorkerStatus
from authz.edge.workers.ipc import Ask, Came, End, Report, Started, WorkerChannel

async def main():
    channel = await WorkerChannel.open(socket.socket(fileno=int(sys.argv[1])))
    task = await channel.receive()
    if task.config == "exit":
        sys.exit(3)
    if task.config == "refuse":
        channel.send(Started("gRPC cannot listen"))
        await channel.aclose()
        sys.exit(2)
    channel.send(Started())
    if task.config == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if task.config == "babble" and not task.hold:
        channel._writer.write(bytes([0, 0, 0, 1, 0xC1]))
    asked = heard = 0
    while (message := await channel.receive()) is not None:
        if isinstance(message, Ask) and task.config != "deaf":
            asked += 1
            counted = CounterMetricFamily("mcp_authz_asked", "Questions.", asked)
            came = CounterMetricFamily("mcp_authz_heard", "Rewriters.", heard)
            channel.send(Report(WorkerStatus(ready=True, policy=f"{os.getpid()} {task.hold:g}"), [counted, came]))
            if task.config == "tell":
                channel.send(Came({"10.0.0.1:80": ["ann"]}))
        if isinstance(message, Came) and message.callers and task.config != "tell":
            heard += 1
        if isinstance(message, End) and task.config != "deaf":
            return

asyncio.run(main())
"""
COMMAND = [sys.executable, "-c", WORKER]


class Nowhere:
    def write(self, data):
        return len(data)


def task(does="serve"):
    return Task(
        config=does, resource="", jwks=[], allow_anonymous=False, grpc="", http="", grace=None, hold=0.0
    )


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Replace a worker quickly, and take none for one that hangs because the machine is busy."""
    monkeypatch.setattr(process, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(supervisor, "ANSWER_SECONDS", DEADLINE)


@asynccontextmanager
async def supervised(*tasks, command=COMMAND):
    """Start workers; none is left afterwards."""
    shutdown = ShutdownSignal()
    running = WorkerSupervisor(settings(NATIVE), tasks, command, Nowhere(), shutdown)
    try:
        yield running, shutdown
    finally:
        await asyncio.wait_for(running.kill(), DEADLINE)


def play(scenario, *tasks, **options):
    """Run a scenario with a supervisor and its shutdown signal."""

    async def run():
        async with supervised(*tasks, **options) as parts:
            return await asyncio.wait_for(scenario(*parts), DEADLINE)

    return asyncio.run(run())


async def workers(running):
    """Return process id and hold of each worker that answers, as its policy says them."""
    policy = (await running.status()).policy
    return [tuple(word.split()) for word in policy.split(", ") if word]


async def shown(running):
    """Return sample to value, as Prometheus would read them."""

    class Collected:
        def __init__(self, metrics):
            self.metrics = metrics

        def collect(self):
            return self.metrics

    text = generate_latest(Collected(await running.metrics())).decode()
    rows = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in rows}


async def until(holds):
    """Ask until the answer is true; the caller's deadline bounds it."""
    while not (answer := await holds()):  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)
    return answer


def test_workers_that_serve_are_one_service_that_is_ready():
    async def scenario(running, _):
        await running.wait_started()
        return await running.status(), await workers(running), await shown(running)

    status, found, samples = play(scenario, task(), task())

    assert (True, False) == (status.ready, status.draining)
    assert ["0", "0"] == [hold for _, hold in found]
    assert (2, 2, 0) == (
        samples['mcp_authz_workers{state="configured"}'],
        samples['mcp_authz_workers{state="up"}'],
        samples["mcp_authz_worker_restarts_total"],
    )
    assert 2 * 3 == samples["mcp_authz_asked_total"]


@pytest.mark.parametrize(
    ("does", "problem"),
    [("refuse", "gRPC cannot listen"), ("exit", "a worker ended with status 3 before it served")],
)
def test_a_worker_that_cannot_serve_ends_the_start_with_its_reason_and_leaves_none(does, problem):
    async def scenario(running, _):
        with pytest.raises(StartError) as raised:
            await running.wait_started()
        await running.kill()
        return str(raised.value), (await shown(running))["mcp_authz_worker_restarts_total"]

    assert (problem, 0) == play(scenario, task(), task(does))


def test_a_program_that_cannot_be_run_ends_the_start():
    async def scenario(running, _):
        with pytest.raises(StartError, match="a worker cannot be started: No such file or directory"):
            await running.wait_started()

    play(scenario, task(), command=["/no/such/program"])


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_ends_is_replaced_by_one_that_waits_for_keys_and_its_counts_stay(signum):
    async def scenario(running, _):
        await running.wait_started()
        ((first, _),) = await workers(running)
        running.signal(signum)

        async def replaced():
            return [found for found in await workers(running) if found[0] != first]

        ((_, hold),) = await until(replaced)
        return hold, await shown(running)

    hold, samples = play(scenario, task())

    assert f"{KEYS_SECONDS:g}" == hold
    assert 1 == samples["mcp_authz_worker_restarts_total"]
    assert samples["mcp_authz_asked_total"] >= 3  # one before the end, and two of the replacement


def test_a_worker_that_sends_what_is_no_message_is_replaced():
    async def scenario(running, _):
        await running.wait_started()
        ((_, hold),) = await until(lambda: workers(running))
        return hold

    assert f"{KEYS_SECONDS:g}" == play(scenario, task("babble"))


def test_a_worker_that_does_not_answer_is_up_and_not_ready(monkeypatch):
    monkeypatch.setattr(supervisor, "ANSWER_SECONDS", 0.05)

    async def scenario(running, _):
        await running.wait_started()
        return (await running.status()).ready, (await shown(running))['mcp_authz_workers{state="up"}']

    assert (False, 2) == play(scenario, task(), task("deaf"))


def test_the_end_reaches_every_worker_and_none_is_replaced():
    async def scenario(running, shutdown):
        await running.wait_started()
        pids = [int(pid) for pid, _ in await workers(running)]
        shutdown.request()
        await running.end()
        return [alive(pid) for pid in pids], await running.status(), await shown(running)

    left, status, samples = play(scenario, task(), task())

    assert [False, False] == left
    assert (False, True) == (status.ready, status.draining)
    assert 0 == samples["mcp_authz_worker_restarts_total"]


def test_a_worker_that_ignores_the_end_is_killed_once_grace_and_limit_are_over(monkeypatch):
    monkeypatch.setattr(supervisor, "_SLACK", 0.05)

    async def scenario(running, shutdown):
        await running.wait_started()
        running.settings = dataclasses.replace(running.settings, drain=Drain(grace=0.0, limit=0.0))
        (pid,) = [slot._process.pid for slot in running._slots]
        shutdown.request()
        await running.end()
        before = alive(pid)
        await running.kill()
        return before, alive(pid)

    assert (True, False) == play(scenario, task("deaf"))


def test_one_that_is_told_to_end_while_it_starts_waits_for_no_worker():
    async def scenario(running, shutdown):
        shutdown.request()
        await running.wait_started()
        await running.end()
        return (await shown(running))['mcp_authz_workers{state="up"}']

    assert 0 == play(scenario, task(), task())


def test_what_one_worker_says_of_rewriters_is_told_to_the_others():
    async def scenario(running, _):
        await running.wait_started()

        async def heard():
            return (await shown(running))["mcp_authz_heard_total"]

        return await until(heard)

    assert play(scenario, task("tell"), task()) >= 1.0


def test_a_worker_that_starts_later_is_told_where_rewriters_came():
    joined, told = [], []
    exchange = RewriterExchange()
    exchange.join(joined.append)
    for listener, caller in (("10.0.0.1:80", "ann"), ("10.0.0.2:80", "ben"), ("10.0.0.1:80", "eve")):
        told.append(Came({listener: [caller]}))
        exchange.tell(told[-1])

    assert (told, Came({"10.0.0.1:80": [], "10.0.0.2:80": []})) == (joined, exchange.known())

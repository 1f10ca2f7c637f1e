"""Several workers behind a real Envoy: restarted, killed and reloaded under load."""

import dataclasses
import json
import os
import signal
from contextlib import contextmanager

import httpx
import pytest

from tests.support.load import LIST, Load
from tests.support.running import another_gateway, metrics
from tests.support.waiting import DEADLINE, eventually
from tests.support.wire import ask, call

pytestmark = pytest.mark.envoy

CALLS = [call("echo"), call("system_status")]
ASKED = [*CALLS, LIST]
ALLOWED, DENIED = {(200, True, "", ())}, {(200, True, "no_rule", ())}
LISTED = (200, True, "", ("echo", "get_user_info"))
EXPECTED = ALLOWED | DENIED | {LISTED}
HELD = 2
"""Lists that a killed worker may have held: one of each client."""
MEMBERS = {f"cluster.{name}.membership_healthy: 2" for name in ("authz", "rewriter")}
SPREAD = 20
"""Calls that do not all go to one of two workers."""


class Workers:
    """A gateway whose service has two workers."""

    def __init__(self, stack, name="workers", grace=3.0):
        self.stack = stack
        gateway = another_gateway(stack, name, edit=lambda text: "workers: 2\n" + text)
        self.gateway = dataclasses.replace(gateway, grace=grace)
        self.gateway.start()
        self.port = self.gateway.ports.envoy

    def log(self):
        text = self.stack.supervisor.log(self.gateway.service_name).read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [entry for line in lines if "event" in (entry := json.loads(line))]

    def pids(self):
        """Return the process id of each worker that serves."""
        found = {}
        for entry in self.log():
            if entry["event"] == "worker serves":
                found[entry["worker"]] = entry["pid"]
        return found

    def replaced(self, number, signum):
        """Send a worker a signal and wait until another serves in its place."""
        before = self.pids()[number]
        os.kill(before, signum)
        assert eventually(lambda: self.pids()[number] != before)

    def whole(self):
        """Wait until Envoy takes both workers for healthy in both clusters."""
        url = f"http://127.0.0.1:{self.gateway.ports.admin}/stats?filter=membership_healthy"
        assert eventually(
            lambda: set(httpx.get(url, trust_env=False, timeout=DEADLINE).text.splitlines()) >= MEMBERS
        )

    def goes_on(self, answers):
        """Wait until there are more answers."""
        before = len(answers)
        assert eventually(lambda: len(answers) > before + SPREAD)

    @contextmanager
    def loaded(self, subjects):
        """Return the answers of two clients that ask all the while."""
        token, answers = self.stack.token(), []
        loads = [Load(self.port, token, subjects) for _ in range(2)]
        for load in loads:
            load.answers = answers
            load.start()
        try:
            yield answers
        finally:
            for load in loads:
                load.stop.set()
                load.join(DEADLINE)


@pytest.fixture(scope="module")
def workers(stack):
    workers = Workers(stack)
    assert eventually(lambda: ask(workers.port, stack.token(), call()).status == 200)
    return workers


def test_a_rolling_restart_under_load_loses_and_mistakes_no_answer(workers):
    with workers.loaded(ASKED) as answers:
        for number in (0, 1):
            workers.whole()
            workers.replaced(number, signal.SIGTERM)
            workers.goes_on(answers)

    assert EXPECTED == set(answers)


def test_a_killed_worker_costs_no_call_and_no_list_but_those_it_held(workers):
    """Envoy puts a Check to the other worker; a list that was being trimmed is lost, and its rest never passes."""
    with workers.loaded(CALLS) as calls, workers.loaded([LIST]) as lists:
        workers.whole()
        workers.goes_on(calls)
        workers.replaced(1, signal.SIGKILL)
        workers.goes_on(calls)
        workers.goes_on(lists)
    lost = [answer for answer in lists if answer != LISTED]

    assert ALLOWED | DENIED == set(calls)
    assert len(lost) <= HELD
    assert {tools for *_, tools in lost} <= {()}


def test_a_reload_reaches_every_worker(workers, stack):
    token = stack.token()
    infos = lambda: [name for name in metrics(workers.gateway) if name.startswith("mcp_authz_policy_info")]  # noqa: E731
    (before,) = infos()
    policy = workers.gateway.policy
    text = policy.read_text()
    policy.write_text(text.replace("tools: [echo, get_user_info]", "tools: [echo]"))
    stack.supervisor.send(workers.gateway.service_name, signal.SIGHUP)
    assert eventually(lambda: len(infos()) == 1 and infos() != [before])
    reasons = [ask(workers.port, token, call("get_user_info")).reason for _ in range(2 * SPREAD)]
    policy.write_text(text)
    stack.supervisor.send(workers.gateway.service_name, signal.SIGHUP)

    assert ["no_rule"] * 2 * SPREAD == reasons
    assert eventually(lambda: infos() == [before])

"""Several workers behind a real Envoy: restarted, killed and reloaded under load."""

import dataclasses
import json
import httpx
import os
import signal
from contextlib import contextmanager

import pytest

from tests.support.load import LIST, Load
from tests.support.running import another_gateway, eventually, metrics
from tests.support.wire import DEADLINE, ask, call

pytestmark = pytest.mark.envoy

ASKED = [call("echo"), LIST, call("get_user_info"), LIST, call("system_status")]
EXPECTED = {(200, True, "", ()), (200, True, "no_rule", ()), (200, True, "", ("echo", "get_user_info"))}
RESTARTS = "mcp_authz_worker_restarts_total"


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
        """Give the process id of each worker that serves."""
        found = {}
        for entry in self.log():
            if entry["event"] == "worker serves":
                found[entry["worker"]] = entry["pid"]
        return found

    def value(self, name):
        return metrics(self.gateway).get(name, 0.0)

    def replaced(self, number, signum):
        """Send a worker a signal and wait until another serves in its place."""
        before = self.pids()[number]
        os.kill(before, signum)
        assert eventually(lambda: self.pids()[number] != before)

    @contextmanager
    def loaded(self, clients=2):
        """Give the answers of clients that ask all the while."""
        token, answers = self.stack.token(), []
        loads = [Load(self.port, token, ASKED) for _ in range(clients)]
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


def decided(workers):
    samples = metrics(workers.gateway)
    return sum(value for name, value in samples.items() if name.startswith("mcp_authz_decisions_total"))


def test_a_rolling_restart_under_load_loses_and_mistakes_no_answer(workers):
    with workers.loaded() as answers:
        for number in (0, 1):
            workers.replaced(number, signal.SIGTERM)
            before = len(answers)
            assert eventually(lambda before=before: len(answers) > before + 4 * len(ASKED))

    assert EXPECTED == set(answers)


def test_a_killed_worker_costs_no_wrong_answer_and_the_other_goes_on(workers):
    with workers.loaded() as answers:
        workers.replaced(1, signal.SIGKILL)
        before = len(answers)
        assert eventually(lambda: len(answers) > before + 4 * len(ASKED))
    lost = [answer for answer in answers if answer not in EXPECTED]
    from collections import Counter

    print(len(answers), Counter(lost))
    st = httpx.get(
        f"http://127.0.0.1:{workers.gateway.ports.admin}/stats?filter=cluster.(authz|rewriter).(upstream_rq_(retry|[0-9])|upstream_cx_(conn|dest)|health|outlier|lb_)",
        trust_env=False,
    ).text
    print("\n".join(l for l in st.splitlines() if not l.endswith(" 0")))

    assert {(200, True)} == {(status, whole) for status, whole, *_ in answers}, lost

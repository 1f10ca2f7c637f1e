"""What a lock costs is measured as it says; nothing here looks at how fast anything is.

The test takes its time because a bench's stack is started for it: Envoy, the service, a server and an issuer.
"""

import pytest

from bench import load, lock
from bench.client import HttpConnection, body_of, is_denied
from bench.tables import tables

CALLS = 5
TOOLS = 10


@pytest.fixture
def answers(monkeypatch):
    """The answers of each kind: a few requests over one connection take wrk's place, which needs whole seconds."""
    all_ = {}

    def few(port, _connections, _seconds, file, start):
        requests = file.read_bytes().split(b"\0")
        with HttpConnection(port) as connection:
            found = [connection.ask(requests[(start + n) % len(requests)]) for n in range(CALLS)]
        assert not any(map(is_denied, found))
        all_.setdefault(file.stem, found)
        return load.Load(calls=CALLS, seconds=1.0, p50_ms=1.0, p99_ms=1.0, p999_ms=1.0, busy=0.1)

    monkeypatch.setattr("bench.rounds.load.over_http", few)
    return all_


@pytest.mark.envoy
def test_the_same_list_and_the_same_call_are_measured_with_and_without_a_lock(answers):
    found = lock.measure(0.1, [1], 1, tools=TOOLS)

    assert set(lock.KINDS) == set(answers)
    for name in ("list", "list, locked"):
        assert {TOOLS // 2} == {body_of(answer).count(b'"inputSchema"') for answer in answers[name]}
    assert [["list", "list, locked"], ["call", "call, arguments checked"]] == [
        [row["variant"] for row in found[part]] for part in ("lists", "calls")
    ]
    assert {1.0} == {row["p50_ms_ratio"] for row in found["lists"] + found["calls"]}
    assert 2 == len(tables({"lock": found}))


def test_the_lock_of_the_bench_holds_every_tool_and_checks_the_calls_of_one_server():
    policy = lock.policy_text(TOOLS)

    assert TOOLS == lock.lock_text(TOOLS).count("digest: sha256:")
    assert (1, 1) == (policy.count("arguments: locked"), policy.count("lock: {file"))

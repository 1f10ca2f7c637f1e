"""What clients send in sessions is measured as it says; nothing here looks at how fast anything is.

The first test takes its time because a bench's stack is started for it: Envoy, the service, a server and an issuer.
"""

import pytest

from bench import load, sessions
from bench.client import HttpConnection, body_of, is_denied
from bench.rounds import MiscountedError
from bench.sessions import KINDS
from bench.tables import tables
from bench.workload import Variant

CALLS = 5


@pytest.fixture
def answers(monkeypatch):
    """The first answer of each kind: a few requests over one connection take wrk's place, which needs whole seconds."""
    first = {}

    def few(port, _connections, _seconds, file, start):
        requests = file.read_bytes().split(b"\0")
        with HttpConnection(port) as connection:
            found = [connection.ask(requests[(start + n) % len(requests)]) for n in range(CALLS)]
        assert not any(map(is_denied, found))
        first.setdefault(file.stem, found[0])
        return load.Load(calls=CALLS, seconds=1.0, p50_ms=1.0, p99_ms=1.0, p999_ms=1.0, busy=0.1)

    monkeypatch.setattr("bench.rounds.load.over_http", few)
    return first


@pytest.mark.envoy
def test_every_kind_is_answered_as_it_says_and_read_where_it_takes_the_second_hop(answers):
    found = sessions.measure(0.1, [1], 1)

    assert list(KINDS) == [row["variant"] for row in found["rows"]] == list(answers)
    assert {1.0} == {row["rate_ratio"] for row in found["rows"]}
    assert {name: kind.answer == "events" for name, kind in KINDS.items()} == {
        name: b"text/event-stream" in answer for name, answer in answers.items()
    }
    for name in ("list", "list in a session"):
        assert 5 == body_of(answers[name]).count(b'"inputSchema"')
    (table,) = tables({"sessions": found})
    assert len(KINDS) == len(table.lines)
    assert "rate / call" in table.headings


@pytest.mark.parametrize(
    ("name", "read"), [("session call", 0), ("call", 65), ("session call, answers: lists", 65)]
)
def test_an_answer_that_is_read_otherwise_than_it_should_be_is_an_error(name, read, monkeypatch):
    counted = iter([0, read])
    monkeypatch.setattr("bench.sessions._read", lambda _stack: next(counted))
    variant = Variant(name=name, backend="authz", population=name)

    with pytest.raises(MiscountedError, match=name):
        sessions._checked(None, lambda *_: {"calls": CALLS})(variant, 1)

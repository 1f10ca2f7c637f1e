"""Whether a run notices what it is for: a wrong answer, a forbidden arrival, a late refusal."""

import json
import random

import pytest

from authz.config.load import load
from authz.config.problems import ConfigError
from authz.core.identity.jwks import read_key_set
from authz.demo.issuer.app import TokenIssuer
from tests.chaos import policies
from tests.chaos.answers import Answer, Grade
from tests.chaos.ledger import Ledger
from tests.chaos.oracle import Oracle
from tests.chaos.questions import MODERN, Questions, Wallet, numbers
from tests.chaos.report import Report
from tests.chaos.upstream import Arrival

PORT = 8080


@pytest.fixture(scope="module")
def issuer():
    return TokenIssuer("http://127.0.0.1:1/")


@pytest.fixture
def settings(tmp_path, issuer):
    """Reads one of the two policies."""
    (tmp_path / "session.key").write_text("0123456789abcdefghijklmnopqrstuvwxyzABCDEF")
    front = {"ISSUER": issuer.url, "FRONT": f"http://localhost:{PORT}", "UPSTREAM": "http://127.0.0.1:2"}

    def read(text):
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        return load(str(file), environment=front)

    return read


@pytest.fixture
def ledger(settings, issuer):
    keys = read_key_set(json.dumps(issuer.jwks()).encode())
    ledger = Ledger(Oracle(settings(policies.A), keys))
    ledger.open("worker killed")
    return ledger


@pytest.fixture
def questions(issuer):
    wallet = Wallet(issuer)
    wallet.refill()
    return Questions(port=PORT, era=MODERN, wallet=wallet, rng=random.Random(1), numbers=numbers())


@pytest.fixture
def asked(ledger, questions):
    """Asks for a tool, without sending anything."""

    def ask(who, server, tool):
        question = questions.ask(who, server, "tools/call", {"name": tool, "arguments": {}})
        ledger.sent(question)
        return question

    return ask


def result(question, **changes):
    own = {"server": question.server, "subject": question.subject, "number": str(question.number)}
    text = json.dumps({**own, "name": question.name, **changes})
    message = {
        "jsonrpc": "2.0",
        "id": question.number,
        "result": {"content": [{"type": "text", "text": text}]},
    }
    return Answer(status=200, message=message)


def denial(question, reason, status=200):
    return Answer(status=status, message={"id": question.number, "error": {"data": {"reason": reason}}})


def arrival(question, **changes):
    parts = {
        "number": str(question.number),
        "server": question.server,
        "subject": question.subject,
        "http_method": "POST",
        "method": question.method,
        "name": question.name,
        "opener": "",
        "at": question.sent,
    }
    return Arrival(**{**parts, **changes})


@pytest.mark.parametrize(
    ("tool", "answer", "grade"),
    [
        ("echo", result, Grade.RIGHT),
        ("echo", lambda question: result(question, subject="bob"), Grade.WRONG),
        ("echo", lambda question: result(question, number="99"), Grade.WRONG),
        ("echo", lambda question: denial(question, "no_rule"), Grade.WRONG),
        ("echo", lambda question: denial(question, "unknown_key", 401), Grade.WRONG),
        ("echo", lambda question: denial(question, "deadline", 503), Grade.REFUSED),
        ("echo", lambda _question: Answer(status=503), Grade.REFUSED),
        ("forbidden", result, Grade.WRONG),
        ("forbidden", lambda question: denial(question, "no_rule"), Grade.RIGHT),
        ("forbidden", lambda question: denial(question, "expired_token"), Grade.WRONG),
        ("forbidden", lambda _question: Answer(status=503), Grade.RIGHT),
    ],
)
def test_an_answer_is_compared_with_the_engines(ledger, asked, tool, answer, grade):
    question = asked("alice", "alpha", tool)

    assert grade is ledger.answered(question, answer(question))
    assert (grade is Grade.WRONG) is bool(ledger.wrong)


def test_a_list_with_a_hidden_item_is_wrong(ledger, questions):
    question = questions.ask("carol", "alpha", "tools/list", {})
    ledger.sent(question)
    shown = [{"name": name} for name in ("echo", "report", "forbidden")]
    answer = Answer(status=200, message={"id": question.number, "result": {"tools": shown}})

    assert Grade.WRONG is ledger.answered(question, answer)
    assert "a list shows forbidden" in ledger.wrong[0]


@pytest.mark.parametrize(
    ("tool", "changes", "problems"),
    [
        ("echo", {}, 0),
        ("echo", {"name": "forbidden"}, 1),
        ("echo", {"subject": "bob"}, 1),
        ("echo", {"server": "beta"}, 1),
        ("echo", {"opener": "bob"}, 1),
        ("echo", {"number": "4711"}, 1),
        ("forbidden", {}, 1),
    ],
)
def test_what_reaches_a_server_must_be_what_was_allowed(ledger, asked, tool, changes, problems):
    ledger.arrived(arrival(asked("alice", "alpha", tool), **changes))

    assert problems == len(ledger.forbidden)


def test_either_policy_may_answer_until_the_newer_one_is_in_force_everywhere(ledger, asked, settings):
    in_force = ledger.oracle.policies
    before = asked("carol", "alpha", "report")
    in_force.begin(settings(policies.B), before.sent)

    assert Grade.RIGHT is ledger.answered(before, result(before))
    assert Grade.RIGHT is ledger.answered(before, denial(before, "no_rule"))
    in_force.settle(before.sent)
    after = asked("carol", "alpha", "report")
    assert Grade.WRONG is ledger.answered(after, result(after))
    assert Grade.RIGHT is ledger.answered(after, denial(after, "no_rule"))


@pytest.mark.parametrize(("late", "held"), [(0.5, True), (1.5, False)])
def test_a_refusal_more_than_a_second_after_a_fault_is_a_problem(ledger, asked, late, held):
    right, refused = asked("alice", "alpha", "echo"), asked("alice", "alpha", "echo")
    ledger.answered(right, result(right))
    ledger.chapters[-1].ended = refused.sent - late
    ledger.answered(refused, Answer(status=503))

    assert held is Report.of(ledger, 1, 1, "", "").held


def test_a_run_without_an_answer_has_not_held(ledger):
    assert not Report.of(ledger, 1, 1, "", "").held


def test_no_bad_policy_can_be_used(settings):
    rng = random.Random(1)

    for text in sorted({policies.bad(rng) for _ in range(100)}):
        with pytest.raises(ConfigError):
            settings(text)


def test_the_two_policies_differ_on_every_server(settings):
    a, b = settings(policies.A), settings(policies.B)

    assert a.digest != b.digest
    assert all(_rules(a, name) != _rules(b, name) for name in policies.SERVERS)


def _rules(settings, name):
    (server,) = (server for server in settings.directory.servers if server.name == name)
    return server.policy.rules

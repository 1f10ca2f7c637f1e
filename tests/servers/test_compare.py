"""The comparison of servers: what is a difference, what is a refusal, and what may not arrive."""

import pytest

from tests.servers.asked import Heard, Offer, Question
from tests.servers.compare import Comparison, Rules, forbidden

ECHO, SECRET = Question("tool", "echo", "tools/call echo"), Question("tool", "secret", "tools/call secret")
LIST = Question("list", "tools/list", "tools/list, page 1")
OFFER = Offer(
    tools=[{"name": "echo"}, {"name": "secret"}],
    prompts=[],
    resources=[],
    templates=[{"uriTemplate": "test://{id}/data"}],
)
RULES = Rules.halved(OFFER)
REFUSED = {"jsonrpc": "2.0", "id": 2, "result": {"_meta": {"reason": "no_rule", "decision_id": "d"}}}


def answer(text, **members):
    return {"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": text}], **members}}


def listed(*names, **members):
    return {"jsonrpc": "2.0", "id": 1, "result": {"tools": [{"name": name} for name in names], **members}}


def heard(*besides, **answers):
    questions = {"echo": ECHO, "secret": SECRET, "tools": LIST}
    return Heard({questions[name]: messages for name, messages in answers.items()}, list(besides))


def transparent(direct, guarded, differs=()):
    return [row.label for row in Comparison(differs).transparent(direct, guarded)]


def restricted(direct, guarded):
    return [row.label for row in Comparison().restricted(direct, guarded, RULES)]


@pytest.mark.parametrize(
    ("direct", "guarded"),
    [
        (answer("hi"), answer("ho")),
        (answer("hi"), answer("hi", extra=1)),
        (answer("hi", isError=False), answer("hi", isError=True)),
    ],
    ids=["other words", "a member more", "another flag"],
)
def test_an_answer_that_is_not_the_same_is_a_difference(direct, guarded):
    assert [ECHO.label] == transparent(heard(echo=[direct]), heard(echo=[guarded]))


def test_a_progress_notification_less_is_a_difference():
    progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 7}}

    assert [ECHO.label] == transparent(heard(echo=[progress, answer("hi")]), heard(echo=[answer("hi")]))


def test_a_notification_less_is_a_difference():
    news = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}}

    assert ["notifications"] == transparent(heard(news), heard())


def test_what_no_two_calls_have_in_common_is_no_difference():
    here, there = (
        answer("at 2026-11-30T10:00:00Z, visit 1"),
        {**answer("at 2026-11-30T10:00:01Z, visit 2"), "id": 9},
    )

    assert [] == transparent(heard(echo=[here]), heard(echo=[there]), [r"visit \d"])
    assert [ECHO.label] == transparent(heard(echo=[here]), heard(echo=[there]))


def test_a_lists_scope_must_be_private():
    direct = heard(tools=[listed("echo", cacheScope="public")])

    assert [] == transparent(direct, heard(tools=[listed("echo", cacheScope="private")]))
    assert [LIST.label] == transparent(direct, heard(tools=[listed("echo", cacheScope="public")]))


def test_under_a_policy_the_rest_must_be_refused_and_the_list_cut():
    direct = heard(echo=[answer("hi")], secret=[answer("s")], tools=[listed("echo", "secret")])
    right = heard(echo=[answer("hi")], secret=[REFUSED], tools=[listed("echo")])

    assert [] == restricted(direct, right)
    assert [SECRET.label] == restricted(direct, heard(**{**named(right), "secret": [answer("s")]}))
    assert [SECRET.label] == restricted(direct, heard(**{**named(right), "secret": []}))
    assert [LIST.label] == restricted(direct, heard(**{**named(right), "tools": [listed("echo", "secret")]}))
    assert [ECHO.label] == restricted(direct, heard(**{**named(right), "echo": [REFUSED]}))


def named(run):
    return {
        "echo": run.answers[ECHO],
        "secret": run.answers[SECRET],
        "tools": run.answers[LIST],
    }


def test_what_the_rules_forbid_and_arrived_is_found():
    asked = heard(echo=[answer("hi")], secret=[REFUSED])
    arrived = [{"method": "tools/call", "name": "echo"}, {"method": "tools/call", "name": "secret"}]

    assert ["tools/call secret"] == forbidden(arrived, asked, RULES)
    assert [] == forbidden(arrived[:1], asked, RULES)


def test_an_allowed_template_is_written_as_a_pattern_and_its_uri_allowed():
    assert [{"allow": {"tools": ["echo"], "resources": ["test://*/data"]}}] == RULES.written()
    assert RULES.allows(Question("resource", "test://1/data", ""))
    assert not RULES.allows(Question("resource", "test://1/other", ""))

import pytest

from authz.core.mcp.item import Item, Kind
from authz.core.reasons import Reason
from authz.tools.evaluate import Answer, Evaluator, Question
from tests.support.policy_files import NATIVE, settings

NOW = 1_800_000_000.0
POLICY = (
    NATIVE
    + """\
      - {name: readers, allow: {tools: [list_files]}, scopes: [files:read]}
      - {name: inbox, allow: {tools: [send]}, args: 'args.to == "me"'}
      - {name: prod, allow: {tools: [deploy]}, when: 'request.headers["x-env"] == "prod"'}
      - {name: watch, allow: {resources: ["file:///a"]}}
"""
)
EVALUATOR = Evaluator(settings(POLICY), NOW)
READER = {"scope": "files:read"}


def asked(name="echo", kind=Kind.TOOL, method="tools/call", claims=READER, **more):
    item = Item(kind, name) if name else None
    question = Question(
        who="alice", server=more.pop("server", ""), method=method, item=item, claims=claims, **more
    )
    found = EVALUATOR.evaluate(question)
    return found.answer, found.reason if found.answer is not Answer.UNKNOWN else "", found.rule


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"name": "echo"}, (Answer.ALLOW, Reason.ALLOWED, "rule-1")),
        ({"name": "list_files"}, (Answer.ALLOW, Reason.ALLOWED, "readers")),
        ({"name": "list_files", "claims": {}}, (Answer.DENY, Reason.MISSING_SCOPE, "readers")),
        ({"name": "gone"}, (Answer.DENY, Reason.NO_RULE, "")),
        ({"server": "gone"}, (Answer.DENY, Reason.UNKNOWN_ENDPOINT, "")),
        ({"claims": {"exp": 1}}, (Answer.DENY, Reason.EXPIRED_TOKEN, "")),
        ({"claims": None}, (Answer.UNKNOWN, "", "")),
        ({"name": "", "method": "tools/list"}, (Answer.ALLOW, Reason.ALLOWED, "")),
        ({"name": "", "method": "DELETE"}, (Answer.ALLOW, Reason.ALLOWED, "")),
        ({"name": "", "method": "vendor/x"}, (Answer.DENY, Reason.UNKNOWN_METHOD, "")),
        ({"method": "vendor/x"}, (Answer.DENY, Reason.UNKNOWN_METHOD, "")),
    ],
)
def test_a_question_is_answered_by_the_policy_with_reason_and_rule(question, expected):
    assert expected == asked(**question)


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        ({}, Answer.UNKNOWN),
        ({"arguments": {"to": "me"}, "headers": {}}, Answer.ALLOW),
        ({"arguments": {"to": "you"}, "headers": {}}, Answer.DENY),
        ({"arguments": {"to": "you"}, "listed": True}, Answer.ALLOW),
    ],
)
def test_what_depends_on_arguments_is_unknown_until_they_are_known(known, answer):
    assert answer is asked("send", **known)[0]


@pytest.mark.parametrize(
    ("known", "answer"),
    [
        ({}, Answer.UNKNOWN),
        ({"arguments": {}, "headers": {"x-env": "prod"}}, Answer.ALLOW),
        ({"arguments": {}, "headers": {}}, Answer.DENY),
        ({"headers": {"x-env": "prod"}, "listed": True}, Answer.ALLOW),
    ],
)
def test_what_depends_on_headers_is_unknown_until_they_are_known(known, answer):
    assert answer is asked("deploy", **known)[0]


@pytest.mark.parametrize(
    ("uri", "method", "answer"),
    [
        ("file:///a", "resources/read", Answer.ALLOW),
        ("file:///a", "subscriptions/listen", Answer.UNKNOWN),
        ("file:///b", "subscriptions/listen", Answer.DENY),
    ],
)
def test_one_allowed_uri_of_a_subscription_does_not_allow_the_others(uri, method, answer):
    assert answer is asked(uri, Kind.RESOURCE, method)[0]

"""One message of a response: what became of it, and the bytes that may be sent."""

import json

import pytest

from authz.core.response.commands import ResponseOutcome
from authz.core.response.judgement import ResponseTerms, judge


def judged(message, **more):
    """Judge a message to its end."""
    terms = ResponseTerms(**{"visible": lambda item: item.name != "hidden", **more.pop("terms", {})})
    steps = judge(message if isinstance(message, bytes) else json.dumps(message).encode(), terms, **more)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def result(**lists):
    items = {name: [{"name": each} for each in names] for name, names in lists.items()}
    return {"jsonrpc": "2.0", "id": 1, "result": items}


@pytest.mark.parametrize(
    ("outcome", "lists"),
    [
        (ResponseOutcome.UNCHANGED, {"tools": ["a"], "prompts": ["b"]}),
        (ResponseOutcome.TRIMMED, {"tools": ["a"], "prompts": ["hidden"]}),
        (ResponseOutcome.TRIMMED, {"tools": ["a", "hidden"], "prompts": ["b"]}),
    ],
)
def test_one_list_that_was_cut_makes_the_answer_a_cut_one(outcome, lists):
    report, body = judged(result(**lists))

    assert outcome is report.outcome
    assert b"hidden" not in body


def test_nobody_known_gets_a_list():
    report, body = judged(result(tools=["a"]), terms={"visible": None})

    assert (ResponseOutcome.REFUSED, None) == (report.outcome, body)


@pytest.mark.parametrize(("error_status", "passes"), [({}, False), ({"error_status": True}, True)])
def test_other_json_than_a_message_passes_only_with_a_status_that_is_no_success(error_status, passes):
    report, body = judged(b'"try again later"', **error_status)

    assert (passes, passes) == (report.outcome is ResponseOutcome.PASSED, body is not None)


def test_a_server_that_is_not_known_has_no_name():
    assert "" == ResponseTerms(visible=None).server

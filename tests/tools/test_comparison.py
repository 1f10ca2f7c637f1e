from collections import Counter

import pytest
from google.protobuf import json_format

from authz.core.mcp.item import Item, Kind
from authz.proto import decision_pb2
from authz.tools.cases import Case, Cases
from authz.tools.comparison import as_json, compare, questions_of_cases, questions_of_records
from authz.tools.comparison_view import DIFFERENT, NOTHING, SAME, show
from authz.tools.evaluate import Answer, Evaluation, Question
from tests.support.core import server
from tests.support.policy_files import NATIVE, settings

ECHO = Item(Kind.TOOL, "echo")
ALLOW, DENY, UNKNOWN = (Evaluation(answer=answer, reason=f"because {answer}", rule="r") for answer in Answer)
QUESTION = Question(who="alice", server="", method="tools/call", item=ECHO, claims={})


def compared(*pairs):
    """Compare recorded first answers with second ones."""
    second = iter([new for _, new in pairs])
    return compare(((QUESTION, old) for old, _ in pairs), Counter(), lambda _: DENY, lambda _: next(second))


@pytest.mark.parametrize(
    ("pairs", "counts", "status"),
    [
        ([(ALLOW, ALLOW), (DENY, DENY)], (2, 2, 0, 0), SAME),
        ([(ALLOW, ALLOW), (ALLOW, DENY)], (2, 1, 1, 0), DIFFERENT),
        ([(None, ALLOW)], (1, 0, 1, 0), DIFFERENT),
        ([(ALLOW, UNKNOWN), (ALLOW, ALLOW)], (1, 1, 0, 1), SAME),
        ([(ALLOW, UNKNOWN)], (0, 0, 0, 1), NOTHING),
        ([], (0, 0, 0, 0), NOTHING),
    ],
)
@pytest.mark.parametrize("as_data", [True, False])
def test_answers_are_the_same_different_or_undecidable_and_so_is_the_exit_status(
    pairs, counts, status, as_data
):
    found = compared(*pairs)

    assert counts == tuple(as_json(found)[key] for key in ("compared", "same", "different", "undecidable"))
    assert status == show(found, as_data, {})


def test_another_reason_is_no_difference():
    other = Evaluation(answer=Answer.DENY, reason="another", rule="q")

    assert 0 == as_json(compared((DENY, other)))["different"]


def test_a_difference_is_shown_with_who_gains_or_loses_what(capsys):
    show(compared((ALLOW, DENY), (ALLOW, DENY)), as_data=False, servers={})

    heading, row, summary = capsys.readouterr().out.splitlines()
    assert ["who", "server", "what"] == heading.split()[:3]
    assert ["alice", "-", "tool", "echo", "loses"] == row.split()[:5]
    assert "2" == row.split()[-1]
    assert "2 compared: 0 same, 2 different in 1 change" == summary


def record(**values):
    given = {
        "decision": "allow",
        "reason": "allowed",
        "method": "tools/call",
        "server": "demo",
        "sub": "alice",
    }
    return json_format.ParseDict({**given, **values}, decision_pb2.DecisionRecord())


def test_a_record_becomes_a_question_with_its_recorded_answer():
    ((question, answer),) = questions_of_records(
        [record(tool="echo", rule="r", source="192.0.2.1")],
        {"demo": server()},
        {"alice": [{"a": 1}]},
        Counter(),
    )

    assert (ECHO, {"a": 1}, "192.0.2.1") == (question.item, question.claims, question.source)
    assert (None, None) == (question.arguments, question.headers)
    assert (Answer.ALLOW, "allowed", "r") == (answer.answer, answer.reason, answer.rule)


@pytest.mark.parametrize(
    ("values", "left_out"),
    [
        ({"decision": "deny", "reason": "missing_token"}, {"missing_token": 1}),
        ({"tool": "x" * 512 + "…"}, {"name cut in the record": 1}),
        ({"tool": "x" * 513}, {}),
    ],
)
def test_a_record_that_no_policy_decided_or_whose_name_is_cut_is_left_out(values, left_out):
    counted = Counter()
    asked = list(questions_of_records([record(**values)], {}, {}, counted))

    assert left_out == counted
    assert len(asked) == (not left_out)


def test_cases_ask_about_their_items_and_personas_about_every_tool_that_is_named():
    case = Case(
        name="a case",
        file="f",
        line=1,
        persona="",
        claims={"sub": "bob"},
        server="",
        item=None,
        args={},
        headers={},
        expect="",
        catalogue=(ECHO,),
        visible=(),
    )
    cases = Cases(personas={"alice": {"sub": "alice"}}, cases=(case,))
    sides = [settings(NATIVE), settings(NATIVE.replace("echo", "other"))]

    assert [("a case", "echo", True), ("alice", "echo", True), ("alice", "other", True)] == [
        (each.who, each.item.name, each.listed) for each in questions_of_cases(cases, sides)
    ]

"""What a client got, and whether it was right.

Every answer is one of four: right; *refused* although allowed, for a reason that the service or Envoy has while
something is broken; *wrong*. What is refused for any other reason, such as a rule, is wrong too: a fault may cost an
answer, and must not change one.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from authz.core.reasons import TABLE, Group, Reason
from tests.chaos.oracle import OFFERED, Verdict
from tests.chaos.questions import Question

NO_ANSWER, CUT_SHORT, TIMED_OUT = "no answer", "cut short", "timed out"
_SERVICE = frozenset(str(reason) for reason, row in TABLE.items() if row.group is Group.SERVICE)
TOLERATED = _SERVICE | {NO_ANSWER, CUT_SHORT, TIMED_OUT, "status 502", "status 503", "status 504"}
"""Why an allowed request may be refused while a fault is under way."""
ROTATING = str(Reason.UNKNOWN_KEY)
"""Tolerated as well, but only while the issuer's keys change."""


class Grade(StrEnum):
    """What an answer was."""

    RIGHT = "right"
    REFUSED = "refused"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got.

    Attributes:
        status: the HTTP status; 0 for none.
        message: the JSON-RPC response; None for none.
        problem: why there is no whole answer, "" where there is one.
        session: the session id that it brought, "" for none.
    """

    status: int = 0
    message: Mapping[str, Any] | None = None
    problem: str = ""
    session: str = ""

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The result, None for a refusal, which may be a tool's result too."""
        result = None if self.message is None else self.message.get("result")
        return None if isinstance(result, dict) and result.get("isError") else result

    @property
    def word(self) -> str:
        """Why it is a refusal: the service's reason, else what was seen; "hidden" for an item that is hidden."""
        if self.problem:
            return self.problem
        message = self.message or {}
        refusal = message.get("error") or message.get("result") or {}
        data = refusal.get("data") or refusal.get("_meta")
        if isinstance(data, dict) and "reason" in data:
            return str(data["reason"])
        return "hidden" if refusal and self.status == 200 else f"status {self.status}"


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """Read a whole HTTP response, JSON or one event."""
    text = body.decode("utf-8", "replace")
    if headers.get("content-type", "").startswith("text/event-stream"):
        text = next((line[5:] for line in text.splitlines() if line.startswith("data:")), "")
    try:
        message = json.loads(text)
    except ValueError:
        return Answer(status=status, problem=CUT_SHORT if status == 200 else "")
    return Answer(
        status=status,
        message=message if isinstance(message, dict) else None,
        session=headers.get("mcp-session-id", ""),
    )


def grade(question: Question, answer: Answer, verdicts: Collection[Verdict]) -> tuple[Grade, str]:
    """Compare an answer with those that are right; the word says what is wrong, or why it was refused."""
    if answer.result is not None:
        return _grade_result(question, answer, [verdict for verdict in verdicts if verdict.allowed])
    word = answer.word
    denials = {str(verdict.reason) for verdict in verdicts if not verdict.allowed}
    passing = word in TOLERATED or word == ROTATING
    if denials:
        explained = passing or word in denials or word == "hidden"
        return (Grade.RIGHT, "") if explained else (Grade.WRONG, f"refused as {word}, not {min(denials)}")
    return (Grade.REFUSED, word) if passing else (Grade.WRONG, f"allowed, and refused as {word}")


def _grade_result(question: Question, answer: Answer, allows: Collection[Verdict]) -> tuple[Grade, str]:
    result = answer.result or {}
    if not allows:
        return Grade.WRONG, "allowed although forbidden"
    if (answer.message or {}).get("id") != question.number:
        return Grade.WRONG, "another's id"
    if question.method in OFFERED:
        return _grade_list(question.method, result, [verdict.names or () for verdict in allows])
    return (Grade.RIGHT, "") if _is_own(question, result) else (Grade.WRONG, "another's result")


def _grade_list(
    method: str, result: Mapping[str, Any], right: Collection[tuple[str, ...]]
) -> tuple[Grade, str]:
    key = method.partition("/")[0]
    names = tuple(item["uri" if key == "resources" else "name"] for item in result[key])
    if names in right:
        return Grade.RIGHT, ""
    hidden = set(names).difference(*right)
    return Grade.WRONG, f"a list {'shows ' + min(hidden) if hidden else 'is no list of one policy'}"


def _is_own(question: Question, result: Mapping[str, Any]) -> bool:
    if question.method == "initialize":
        return bool(result["serverInfo"]["name"] == question.server)
    own = {
        "server": question.server,
        "subject": question.subject,
        "number": str(question.number),
        "name": question.name,
    }
    return bool(json.loads(_text(question.method, result)) == own)


def _text(method: str, result: Mapping[str, Any]) -> str:
    if method == "resources/read":
        return str(result["contents"][0]["text"])
    if method == "prompts/get":
        return str(result["messages"][0]["content"]["text"])
    return str(result["content"][0]["text"])

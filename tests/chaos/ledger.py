"""The accounts of a run: what was asked, answered and let through, under which fault, and how fast it was over.

A chapter is one fault, or several at once, with the calm that follows. A question belongs to the chapter in which it was
sent. Recovery is the time from the end of a fault to the sending of the last question that was refused although allowed.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.core.mcp.item import Item, Kind
from tests.chaos.answers import ROTATING, Answer, Grade, grade
from tests.chaos.oracle import OFFERED, Oracle
from tests.chaos.questions import Question
from tests.chaos.upstream import Arrival

_REMEMBERED = 300.0
"""Seconds for which a question is known; nothing between a client and a server holds one for longer."""
_EXAMPLES = 20
RECOVERY = 1.0
"""Seconds after the end of a fault within which the last refusal must be sent."""


@dataclass(slots=True, kw_only=True)
class Chapter:
    """One fault or several at once, and the calm after.

    Attributes:
        faults: their names; empty for a calm without one.
        begun: when, by the monotonic clock.
        ended: when all of them were over; infinite while one is under way.
        grades: answers by grade.
        reasons: refusals of allowed requests by reason.
        last: when the last refused question was sent that was sent after the end.
        arrivals: requests that reached an MCP server.
        evidence: what shows that the faults took place.
    """

    faults: tuple[str, ...]
    begun: float
    ended: float = math.inf
    grades: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    last: float = 0.0
    arrivals: int = 0
    evidence: list[str] = field(default_factory=list)

    @property
    def recovery(self) -> float:
        """Seconds from the end of the faults to the last refusal; 0 for none."""
        return max(0.0, self.last - self.ended)

    @property
    def rotating(self) -> bool:
        """Whether a key may be unknown for a while."""
        return any("key" in fault.lower() or "jwks" in fault.lower() for fault in self.faults)


@dataclass(slots=True)
class Ledger:
    """Keeps the accounts; used by one event loop."""

    oracle: Oracle
    chapters: list[Chapter] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    events: int = 0
    streams: int = 0
    _known: dict[int, Question] = field(default_factory=dict)

    def open(self, *faults: str) -> Chapter:
        """Begin a chapter."""
        self.chapters.append(Chapter(faults=faults, begun=time.monotonic()))
        self._forget()
        return self.chapters[-1]

    def sent(self, question: Question) -> None:
        """Note that a question is about to be sent."""
        question.sent = time.monotonic()
        self._known[question.number] = question

    def answered(self, question: Question, answer: Answer) -> Grade:
        """Judge an answer."""
        verdicts = self.oracle.verdicts(question.request, question.sent, time.monotonic())
        try:
            given, word = grade(question, answer, verdicts)
        except (KeyError, IndexError, TypeError, ValueError):
            given, word = Grade.WRONG, "a result of another form"
        chapter = self._chapter(question, given)
        if given is Grade.REFUSED and word == ROTATING and not chapter.rotating:
            given, word = Grade.WRONG, f"allowed, and refused as {word}"
        self._count(chapter, question, given, word)
        return given

    def opened(self, question: Question) -> None:
        """Judge that a stream was opened."""
        verdicts = self.oracle.verdicts(question.request, question.sent, time.monotonic())
        allowed = any(verdict.allowed for verdict in verdicts)
        self.streams += 1
        self._count(
            self._chapter(question), question, Grade.RIGHT if allowed else Grade.WRONG, "a forbidden stream"
        )

    def told(self, question: Question, message: Mapping[str, Any]) -> None:
        """Judge an event of a stream."""
        self.events += 1
        params = message.get("params", {})
        uri = str(params.get("uri"))
        if not self.oracle.may_see(
            question.request, Item(Kind.RESOURCE, uri), question.sent, time.monotonic()
        ):
            self._note(self._chapter(question), question, f"a stream tells of {uri}")
        if (params.get("owner"), params.get("server")) != (question.subject, question.server):
            self._note(self._chapter(question), question, "another's event")

    def arrived(self, arrival: Arrival) -> None:
        """Judge that a request reached an MCP server."""
        self.chapters[-1].arrivals += 1
        question = self._known.get(int(arrival.number or 0))
        problem = "nobody asked it" if question is None else self._why_forbidden(question, arrival)
        if problem:
            self.forbidden.append(
                f"{problem}: {arrival.server} {arrival.method} {arrival.name} {arrival.subject}"
            )

    def _why_forbidden(self, question: Question, arrival: Arrival) -> str:
        verdicts = self.oracle.verdicts(question.request, question.sent, arrival.at)
        asked = (question.server, question.method, question.name, question.subject)
        came = (arrival.server, arrival.method, arrival.name, arrival.subject)
        if not any(verdict.allowed for verdict in verdicts):
            return "forbidden"
        if asked != came:
            return "not as it was asked"
        return "" if arrival.opener in {"", question.subject} else "in another's session"

    def _chapter(self, question: Question, given: Grade = Grade.RIGHT) -> Chapter:
        """Return the chapter in which a question was sent; for a refusal, the last whose faults it met."""
        sent = next(
            n for n, chapter in reversed([*enumerate(self.chapters)]) if chapter.begun <= question.sent
        )
        met = [chapter for chapter in self.chapters[sent:] if question.sent <= chapter.ended]
        return met[-1] if met and given is Grade.REFUSED else self.chapters[sent]

    def _count(self, chapter: Chapter, question: Question, given: Grade, word: str) -> None:
        if given is Grade.WRONG:
            self._note(chapter, question, word)
            return
        chapter.grades[given] += 1
        if given is Grade.REFUSED:
            chapter.reasons[f"{word} ({'list' if question.method in OFFERED else 'call'})"] += 1
            if question.sent > chapter.ended:
                chapter.last = max(chapter.last, question.sent)

    def _note(self, chapter: Chapter, question: Question, word: str) -> None:
        chapter.grades[Grade.WRONG] += 1
        if len(self.wrong) < _EXAMPLES:
            where = f"{question.server} {question.method or 'GET'} {question.name}".strip()
            under = " and ".join(chapter.faults) or "calm"
            self.wrong.append(f"{word}: {question.subject} at {where}, under {under}")

    def _forget(self) -> None:
        since = time.monotonic() - _REMEMBERED
        self._known = {number: question for number, question in self._known.items() if question.sent > since}
        self.oracle.forget(since)

"""Compares decisions: recorded ones with a policy file's, or those of two policy files.

Only whether a caller gets what it asks for is compared; a denial for another reason is no difference. What either side
cannot know is neither the same nor different: it is counted apart, with the reason.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from authz.config.settings import Settings
from authz.core.mcp.item import Item, Kind, resource_or_template
from authz.core.mcp.methods import USES
from authz.core.reasons import Group
from authz.core.servers import Server
from authz.tools.audit_reader import Record, group_of
from authz.tools.cases import Case, Cases
from authz.tools.evaluate import Answer, Evaluation, Question
from authz.tools.personas import Claims, claims_of

_COMPLETION = "completion/complete"
_ELLIPSIS = "…"
_CUT_LENGTH = 513
"""Length of a name that a record holds only the beginning of; it ends with `_ELLIPSIS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """One thing that a caller wants, and two answers.

    Attributes:
        who: the caller's name.
        server: the server's name, empty for the only one.
        method: how the item is used; `list` for its place in a list.
        item: what is wanted, None if the method names nothing.
        old: the first answer.
        new: the second.
    """

    who: str
    server: str
    method: str
    item: Item | None
    old: Evaluation
    new: Evaluation

    @property
    def unknown(self) -> str:
        """Why the answers cannot be compared, empty if they can."""
        return next((each.reason for each in (self.old, self.new) if each.answer is Answer.UNKNOWN), "")

    @property
    def differs(self) -> bool:
        """Whether the caller gains or loses it."""
        return not self.unknown and self.old.answer is not self.new.answer

    @property
    def subject(self) -> str:
        """The item, or else the method."""
        return f"{self.item.kind} {self.item.name}" if self.item else self.method


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        rows: each with the number of times it was met.
        left_out: records that no policy decided: reason to number.
    """

    rows: Mapping[ComparisonRow, int]
    left_out: Mapping[str, int]

    def count(self, chosen: Callable[[ComparisonRow], Any]) -> int:
        """Count the rows for which `chosen` is true, each as often as it was met."""
        return sum(times for row, times in self.rows.items() if chosen(row))

    @property
    def compared(self) -> int:
        """How many could be compared."""
        return self.count(lambda row: not row.unknown)


def compare(
    pairs: Iterable[tuple[Question, Evaluation | None]],
    left_out: Counter[str],
    old: Callable[[Question], Evaluation],
    new: Callable[[Question], Evaluation],
) -> Comparison:
    """Answer questions on both sides.

    Args:
        pairs: questions, each with the old answer if it is recorded.
        left_out: filled while `pairs` is read.
        old: returns the old answer if it is not recorded.
        new: returns the new answer.
    """
    rows = Counter(
        ComparisonRow(
            who=question.who,
            server=question.server,
            method="list" if question.listed else question.method,
            item=question.item,
            old=recorded or old(question),
            new=new(question),
        )
        for question, recorded in pairs
    )
    return Comparison(rows=rows, left_out=left_out)


def questions_of_records(
    records: Iterable[Record],
    servers: Mapping[str, Server],
    known: Mapping[str, list[Claims]],
    left_out: Counter[str],
) -> Iterable[tuple[Question, Evaluation]]:
    """Yield the questions behind records, with the recorded answers.

    Args:
        records: the records.
        servers: by name; they say which claim holds the client that a record names.
        known: claims by `sub`.
        left_out: counts the records that no policy decided, by reason.
    """
    for record in records:
        item = _item(record)
        if group_of(record) is not Group.POLICY:
            left_out[record.reason] += 1
        elif item is not None and len(item.name) == _CUT_LENGTH and item.name.endswith(_ELLIPSIS):
            left_out["name cut in the record"] += 1
        else:
            question = Question(
                who=record.sub or "(no sub)",
                server=record.server,
                method=record.method,
                item=item,
                claims=claims_of(record, servers.get(record.server), known),
                source=record.source,
            )
            yield question, Evaluation(answer=Answer(record.decision), reason=record.reason, rule=record.rule)


def _item(record: Record) -> Item | None:
    if record.method == _COMPLETION and record.resource:
        return resource_or_template(record.resource)
    return next((Item(kind, name) for kind in Kind if (name := getattr(record, kind.value))), None)


def questions_of_cases(cases: Cases, settings: Collection[Settings]) -> Iterable[Question]:
    """Yield the questions of cases, and for each persona one about each tool that a policy names in full."""
    names = {server.name for each in settings for server in each.directory.servers}
    only = next(iter(names)) if len(names) == 1 else ""
    for case in cases.cases:
        yield from _of_case(case, only)
    tools = {
        (server, tool)
        for each in settings
        for server, named in each.tools.items()
        for tool in named
        if "*" not in tool
    }
    for persona, claims in cases.personas.items():
        for server, tool in sorted(tools):
            item = Item(Kind.TOOL, tool)
            yield Question(
                who=persona, server=server, method=USES[Kind.TOOL], item=item, claims=claims, listed=True
            )


def _of_case(case: Case, only: str) -> Iterable[Question]:
    for item in (case.item, *case.catalogue):
        if item is not None:
            yield Question(
                who=case.persona or case.name,
                server=case.server or only,
                method=USES[item.kind],
                item=item,
                claims=case.claims,
                arguments=case.args,
                headers=case.headers,
                listed=item is not case.item,
            )


def as_json(found: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values."""
    return {
        "compared": found.compared,
        "same": found.count(lambda row: not row.unknown and not row.differs),
        "different": found.count(lambda row: row.differs),
        "undecidable": found.count(lambda row: row.unknown),
        "left_out": dict(found.left_out),
        "differences": [_row(row, times) for row, times in found.rows.items() if row.differs],
        "unknown": [_row(row, times) for row, times in found.rows.items() if row.unknown],
    }


def _row(row: ComparisonRow, times: int) -> dict[str, Any]:
    return {
        "who": row.who,
        "server": row.server,
        "method": row.method,
        "item": {"kind": row.item.kind.value, "name": row.item.name} if row.item else None,
        "old": _side(row.old),
        "new": _side(row.new),
        "times": times,
    }


def _side(side: Evaluation) -> dict[str, str]:
    return {"decision": side.answer.value, "reason": str(side.reason), "rule": side.rule}

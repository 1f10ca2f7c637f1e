"""What a run found: one row for each fault, one for all those that came together, and whether it held."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from tests.chaos.ledger import RECOVERY, Chapter, Ledger

_CALM = "calm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """All chapters of one fault.

    Attributes:
        fault: its name.
        times: how often it came.
        right: answers that were right.
        refused: allowed requests that were refused while it was under way or just after, by reason.
        wrong: wrong answers.
        upstream: requests that reached an MCP server.
        recovery: the longest time from its end to the last refusal, in seconds.
    """

    fault: str
    times: int
    right: int
    refused: dict[str, int]
    wrong: int
    upstream: int
    recovery: float

    @classmethod
    def of(cls, fault: str, chapters: Sequence[Chapter]) -> Self:
        """Sum chapters."""
        grades: Counter[str] = sum((chapter.grades for chapter in chapters), Counter())
        reasons: Counter[str] = sum((chapter.reasons for chapter in chapters), Counter())
        return cls(
            fault=fault,
            times=len(chapters),
            right=grades["right"],
            refused=dict(reasons.most_common()),
            wrong=grades["wrong"],
            upstream=sum(chapter.arrivals for chapter in chapters),
            recovery=round(max((chapter.recovery for chapter in chapters), default=0.0), 2),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The accounts of a run."""

    seed: int
    seconds: float
    audit: str
    clock: str
    events: int
    streams: int
    rows: list[Row]
    wrong: list[str]
    forbidden: list[str]
    problems: list[str]

    @classmethod
    def of(cls, ledger: Ledger, seconds: float, seed: int, audit: str, clock: str) -> Self:
        """Sum a ledger."""
        return cls(
            seed=seed,
            seconds=round(seconds),
            audit=audit,
            clock=clock,
            events=ledger.events,
            streams=ledger.streams,
            rows=list(_rows(ledger.chapters)),
            wrong=ledger.wrong,
            forbidden=ledger.forbidden,
            problems=[*ledger.problems, *_late(ledger.chapters)],
        )

    @property
    def held(self) -> bool:
        """Whether nothing was wrong."""
        wrong = sum(row.wrong for row in self.rows)
        right = sum(row.right for row in self.rows)
        return right > 0 and not (wrong or self.forbidden or self.problems)

    def json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({"held": self.held, **asdict(self)}, indent=2)

    def table(self) -> str:
        """Return the table, in Markdown, and what was not held."""
        head = (
            "| fault | times | right | refused although allowed | wrong | reached a server | recovery s |\n"
        )
        head += "|---|---|---|---|---|---|---|\n"
        rows = "".join(map(_line, self.rows))
        how = f"{self.seconds:.0f} s, seed {self.seed}; audit log on {self.audit}; clock by {self.clock}"
        told = [
            f"{how}; {self.streams} streams with {self.events} events",
            *(f"WRONG {text}" for text in self.wrong),
            *(f"FORBIDDEN UPSTREAM {text}" for text in self.forbidden[:20]),
            *(f"PROBLEM {text}" for text in self.problems),
            "held" if self.held else "NOT HELD",
        ]
        return head + rows + "\n" + "\n".join(told) + "\n"


def _late(chapters: Sequence[Chapter]) -> Iterable[str]:
    """Yield what refused an allowed request when no fault had been under way for a second."""
    for chapter in chapters:
        if chapter.recovery > RECOVERY:
            name = " and ".join(chapter.faults) or _CALM
            yield f"{name}: an allowed request was refused {chapter.recovery:.2f} s after the end"


def _line(row: Row) -> str:
    refused = ", ".join(f"{count} {word}" for word, count in row.refused.items()) or "0"
    cells = (row.fault, row.times, row.right, refused, row.wrong, row.upstream, f"{row.recovery:.2f}")
    return f"| {' | '.join(map(str, cells))} |\n"


def _rows(chapters: Sequence[Chapter]) -> Iterable[Row]:
    by_name: dict[str, list[Chapter]] = {}
    for chapter in chapters:
        count = len(chapter.faults)
        name = _CALM if not count else chapter.faults[0] if count == 1 else f"{count} at once"
        by_name.setdefault(name, []).append(chapter)
    return (Row.of(name, found) for name, found in by_name.items())

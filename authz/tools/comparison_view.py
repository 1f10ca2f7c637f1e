"""Shows a comparison on a terminal or as JSON, and says with which status the command exits."""

import json
from collections import Counter
from collections.abc import Iterable

import typer

from authz.tools.comparison import Comparison, ComparisonRow, as_json
from authz.tools.evaluate import Answer, Evaluation
from authz.tools.terminal import plain, table

SAME, DIFFERENT, NOTHING = 0, 1, 2
_MOST = 20
"""Callers named when their claims are unknown; the JSON form has all of them."""


def show(found: Comparison, as_data: bool) -> int:
    """Print a comparison and return the exit status.

    Returns:
        `SAME`, `DIFFERENT`, or `NOTHING` if no two answers could be compared: that shows neither a difference nor
        sameness.
    """
    if as_data:
        typer.echo(json.dumps(as_json(found)))
    else:
        table(
            ("who", "server", "what", "", "old -> new", "times"),
            [_cells(row, times) for row, times in found.rows.items() if row.differs],
        )
        for line in _summary(found):
            typer.echo(plain(line))
    if not found.compared:
        typer.echo("nothing could be compared", err=True)
        return NOTHING
    return DIFFERENT if found.count(lambda row: row.differs) else SAME


def _cells(row: ComparisonRow, times: int) -> tuple[str, ...]:
    change = "gains" if row.new.answer is Answer.ALLOW else "loses"
    how = f"{row.subject} (list)" if row.method == "list" else row.subject
    return row.who, row.server or "-", how, change, f"{_side(row.old)} -> {_side(row.new)}", str(times)


def _side(side: Evaluation) -> str:
    by = f" by {side.rule}" if side.rule else ""
    return f"{side.answer}{by}" if side.answer is Answer.ALLOW else f"{side.answer}, {side.reason}{by}"


def _summary(found: Comparison) -> Iterable[str]:
    counts = as_json(found)
    yield f"{counts['compared']} compared: {counts['same']} same, {counts['different']} different"
    unknown: dict[str, Counter[str]] = {}
    for row, times in found.rows.items():
        if row.unknown:
            unknown.setdefault(row.unknown, Counter())[row.who] += times
    for reason, who in unknown.items():
        more = ", …" if len(who) > _MOST else ""
        named = ", ".join(f"{name} ({times})" for name, times in who.most_common(_MOST))
        yield f"{who.total()} undecidable: {reason}: {named}{more}"
    if found.left_out:
        listed = ", ".join(f"{reason} ({times})" for reason, times in sorted(found.left_out.items()))
        yield f"{sum(found.left_out.values())} left out, as no rule decided them: {listed}"

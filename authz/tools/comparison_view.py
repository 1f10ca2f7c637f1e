"""Shows a comparison on a terminal or as JSON, and says with which status the command exits."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import typer

from authz.core.servers import Server
from authz.tools.changed_rules import RuleChange
from authz.tools.comparison import Comparison, ComparisonRow, as_json
from authz.tools.evaluate import NO_CLAIMS, Answer, Evaluation
from authz.tools.personas import claims_to_record
from authz.tools.terminal import plain, say, table

SAME, DIFFERENT, NOTHING = 0, 1, 2
_MOST = 20
"""Callers named when their claims are unknown; the JSON form has all of them."""


def show(
    found: Comparison,
    as_data: bool,
    servers: Mapping[str, Server],
    untouched: Sequence[RuleChange] = (),
    *,
    strict: bool = False,
) -> int:
    """Print a comparison and return the exit status.

    Args:
        found: the comparison.
        as_data: whether to print JSON.
        servers: by name, those of recorded requests.
        untouched: rules that changed and that no question was about.
        strict: whether such a rule counts as a difference.

    Returns:
        `SAME`, `DIFFERENT`, or `NOTHING` if no two answers could be compared: that shows neither a difference nor
        sameness.
    """
    if as_data:
        named = [{"server": each.server, "rule": each.name, "what": each.what} for each in untouched]
        typer.echo(json.dumps({**as_json(found), "untouched": named}))
    else:
        table(
            ("who", "server", "what", "", "old -> new", "times"),
            _rows(found),
        )
        for line in (*_summary(found), *_untouched(untouched)):
            say(plain(line))
    for line in _cures(found, servers):
        say(plain(line), err=True)
    if not found.compared:
        say("nothing could be compared", err=True)
        return NOTHING
    different = found.count(lambda row: row.differs) or (strict and untouched)
    return DIFFERENT if different else SAME


def _untouched(changes: Sequence[RuleChange]) -> Iterable[str]:
    for change in changes:
        yield f"not the same: rule {change.name} of {change.server} was {change.what}, and no question was about it"


def _cures(found: Comparison, servers: Mapping[str, Server]) -> Iterable[str]:
    """Yield, for each server with callers whose claims are unknown, where their claims can come from."""
    for name in dict.fromkeys(row.server for row in found.rows if row.unknown == NO_CLAIMS):
        read = claims_to_record(servers[name]) if name in servers else None
        claims = ", ".join(read or ())
        log = f"let records hold what the rules read (audit: {{claims: [{claims}]}}), or " if claims else ""
        yield f"to compare more of {name}: {log}describe the callers with --cases or --claims-for"


def _rows(found: Comparison) -> list[tuple[str, ...]]:
    """Return a row for each change: what a caller gains is gained for a call and for its place in a list at once."""
    grouped: dict[tuple[str, str, str, bool], list[tuple[ComparisonRow, int]]] = {}
    for row, times in found.rows.items():
        if row.differs:
            key = row.who, row.server, row.subject, row.new.answer is Answer.ALLOW
            grouped.setdefault(key, []).append((row, times))
    return [_cells(rows) for rows in grouped.values()]


def _cells(rows: list[tuple[ComparisonRow, int]]) -> tuple[str, ...]:
    """Return the cells of one change; a call says more than a place in a list."""
    row, _ = min(rows, key=lambda each: each[0].method == "list")
    change = "gains" if row.new.answer is Answer.ALLOW else "loses"
    only_listed = all(each.method == "list" for each, _ in rows)
    how = f"{row.subject} (list)" if only_listed else row.subject
    times = sum(times for each, times in rows if (each.method == "list") == only_listed)
    return row.who, row.server or "-", how, change, f"{_side(row.old)} -> {_side(row.new)}", str(times)


def _side(side: Evaluation) -> str:
    by = f" by {side.rule}" if side.rule else ""
    return f"{side.answer}{by}" if side.answer is Answer.ALLOW else f"{side.answer}, {side.reason}{by}"


def _summary(found: Comparison) -> Iterable[str]:
    counts = as_json(found)
    changes = len(_rows(found))
    how_many = f" in {changes} change{'s' if changes > 1 else ''}" if changes != counts["different"] else ""
    yield f"{counts['compared']} compared: {counts['same']} same, {counts['different']} different{how_many}"
    unknown: dict[str, Counter[str]] = {}
    for row, times in found.rows.items():
        if row.unknown:
            unknown.setdefault(row.unknown, Counter())[row.who] += times
    for reason, who in unknown.items():
        more = ", ..." if len(who) > _MOST else ""
        named = ", ".join(f"{name} ({times})" for name, times in who.most_common(_MOST))
        yield f"{who.total()} undecidable: {reason}: {named}{more}"
    if found.left_out:
        listed = ", ".join(f"{reason} ({times})" for reason, times in sorted(found.left_out.items()))
        yield f"{sum(found.left_out.values())} left out, as no rule decided them: {listed}"

"""Render a summary of metrics as tables of text, for a terminal and for the console."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from authz.edge.http.console.summary import MetricsSummary, TimingSummary, Workers
from authz.edge.jwks.problem import INTROSPECTION_FAILED, KeyProblem
from authz.edge.telemetry.envoy_signs import Sign, problem

Rows = list[tuple[str, ...]]
_SIGNS = frozenset(Sign)
_KILO = 1000.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@dataclass(frozen=True, slots=True)
class TableSection:
    """A table.

    Attributes:
        title: its title.
        headings: one for each column.
        rows: one cell for each heading.
        alarms: whether to show it in red.
    """

    title: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    alarms: bool = False


def key_problems(problems: Iterable[KeyProblem]) -> list[TableSection]:
    """Return a table of what keeps tokens from being judged, if anything does."""
    rows = [
        (each.issuer, each.cause, each.url or "-", each.since.replace("T", " ") or "-") for each in problems
    ]
    if not rows:
        return []
    return [TableSection("problems with issuers", ("issuer", "cause", "url", "since"), rows, alarms=True)]


def service_problems(socket: str, reload: str) -> list[TableSection]:
    """Return a table of what is wrong with the service itself, if anything is."""
    texts = (("socket", socket), ("policy file", reload))
    rows = [(name, line) for name, text in texts for line in text.splitlines()]
    return [TableSection("problems of the service", ("of", "problem"), rows, alarms=True)] if rows else []


def sections(
    summary: MetricsSummary, seconds: float | None = None, problems: Iterable[KeyProblem] = ()
) -> list[TableSection]:
    """Return the tables that have rows.

    Args:
        summary: what to show.
        seconds: the time in which it was counted, to show rates; None to show counts since the start.
        problems: what keeps tokens from being judged, for those of introspection.
    """
    number = _Number(seconds)
    count = number.heading
    tables = [
        TableSection("problems of Envoy", ("problem", "seen", "cure"), _problems(summary), alarms=True),
        TableSection("service", ("", ""), _service(summary, number)),
        TableSection(
            "decisions",
            ("server", "decision", "reason", "rule", count),
            [
                (row.server or "-", row.decision, row.reason, row.rule or "-", number(row.count))
                for row in summary.decisions
                if row.count
            ],
        ),
        TableSection(
            "tools",
            ("server", "tool", f"allowed{number.short}", f"denied{number.short}"),
            [(row.server or "-", row.tool, number(row.allowed), number(row.denied)) for row in summary.tools],
        ),
        TableSection(
            "denials by issuer",
            ("issuer", "reason", count),
            [(row.issuer, row.reason, number(row.count)) for row in summary.denials],
        ),
        TableSection(
            "time of a Check", ("server", count, "mean", "p50", "p99"), _timings(summary.checks, number)
        ),
        TableSection(
            "time of its stages (a sample)",
            ("stage", count, "mean", "p50", "p99"),
            _timings(summary.stages, number),
        ),
        TableSection(
            "issuers",
            ("issuer", "keys", "confirmed", f"fetched{number.short}", f"failed{number.short}", "unused keys"),
            [
                (
                    row.issuer,
                    _plain(row.keys),
                    age(row.age),
                    number(row.fetched),
                    number(row.failed),
                    _plain(row.skipped),
                )
                for row in summary.issuers
            ],
        ),
        TableSection(
            "introspection (questions to issuers about tokens)",
            (
                "issuer",
                f"asked{number.short}",
                "under way",
                "remembered",
                f"failed{number.short}",
                f"refused{number.short}",
                "last problem",
            ),
            _introspections(summary, number, problems),
        ),
        TableSection(
            "lists",
            ("server", "kind", f"kept{number.short}", f"trimmed{number.short}"),
            [(row.server, row.kind, number(row.kept), number(row.trimmed)) for row in summary.lists],
        ),
        TableSection(
            "shadow rules that would decide otherwise",
            ("server", "rule", count),
            [(row.server, row.rule, number(row.count)) for row in summary.shadows],
        ),
    ]
    return [table for table in tables if table.rows]


class _Number:
    """Formats counts, or rates if the time in which they were counted is given."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.heading = "count" if seconds is None else "a second"
        self.short = "" if seconds is None else "/s"

    def __call__(self, value: float) -> str:
        return _plain(value) if self._seconds is None else f"{value / self._seconds:,.1f}"


def unused(summary: MetricsSummary) -> TableSection:
    """Return the table of rules that decided nothing."""
    rows = [(row.server, row.rule, row.effect) for row in summary.unused]
    return TableSection("rules that decided no request", ("server", "rule", "effect"), rows)


def _problems(summary: MetricsSummary) -> Rows:
    where = {Sign.REWRITER_MISSING.value: summary.untrimmed}
    found = [problem(Sign(name), where.get(name, ())) for name in summary.problems if name in _SIGNS]
    return [(each.name, f"{each.seen}{_at(each.where)}", each.cure) for each in found]


def _at(listeners: Sequence[str]) -> str:
    return f" (at {', '.join(listeners)})" if listeners else ""


def _service(summary: MetricsSummary, number: _Number) -> Rows:
    rows: Rows = [("policy", ", ".join(summary.policies))]
    if len(summary.policies) > 1:
        rows.append(("", "the workers disagree: a reload is under way, or one could not read the file"))
    if summary.loaded is not None:
        rows.append(("in force since", age(max(0.0, time.time() - summary.loaded))))
    if summary.versions:
        rows.append(("version", ", ".join(summary.versions)))
    rows += _workers(summary.workers)
    if summary.hit_rate is not None:
        rows.append(
            ("tokens remembered", f"{summary.hit_rate:.1%} ({_outcomes(summary.token_cache, number)})")
        )
    rows += [
        (title, _outcomes(outcomes, number))
        for title, outcomes in (("reloads", summary.reloads), ("rewriter", summary.rewrites))
        if outcomes
    ]
    if any(summary.streams.values()):
        held = ", ".join(f"{server} {_plain(count)}" for server, count in summary.streams.items() if count)
        rows.append(("streams under way", held))
    if summary.envoys:
        rows.append(("Envoy's version", ", ".join(summary.envoys)))
    return [*rows, ("audit records lost", number(summary.audit_dropped))]


def _introspections(summary: MetricsSummary, number: "_Number", problems: Iterable[KeyProblem]) -> Rows:
    """Return a row for each issuer that is asked; a question that was refused was not asked."""
    causes = {
        each.issuer: each.cause.removeprefix(INTROSPECTION_FAILED).lstrip(": ")
        for each in problems
        if each.cause.startswith(INTROSPECTION_FAILED)
    }
    return [
        (
            row.issuer,
            number(row.active + row.inactive + row.failed),
            _plain(row.under_way) + (f" (and {_plain(row.waiting)} waiting)" if row.waiting else ""),
            _plain(row.remembered),
            number(row.failed),
            number(row.refused),
            causes.get(row.issuer, "-"),
        )
        for row in summary.introspections
    ]


def _workers(workers: Workers | None) -> Rows:
    if workers is None:
        return []
    up, configured, restarts = (_plain(n) for n in (workers.up, workers.configured, workers.restarts))
    return [("workers", f"{up} of {configured} up, {restarts} replaced")]


def _outcomes(outcomes: Mapping[str, float], number: _Number) -> str:
    return ", ".join(f"{name} {number(count)}{number.short}" for name, count in outcomes.items())


def _timings(timings: Iterable[TimingSummary], number: _Number) -> Rows:
    return [
        (row.name or "-", number(row.count), duration(row.mean), duration(row.p50), duration(row.p99))
        for row in timings
        if row.count
    ]


def _plain(value: float) -> str:
    return f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Format a duration in milliseconds."""
    if seconds is None:
        return "-"
    return f"{seconds * _KILO:.2f} ms"


def age(seconds: float | None) -> str:
    """Format how long ago something was."""
    if seconds is None:
        return "never"
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{seconds:.0f} s ago"

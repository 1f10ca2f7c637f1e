"""The console: a read-only page about the state of the service.

Three views: the overview, why one denial came (above the overview), and who sees what. It has no script; every value is
escaped, and its content security policy lets the browser load nothing. It refreshes by a header, except while somebody
fills in a form or has stopped it.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

from authz.config.settings import Settings
from authz.edge.http.console.activity import HOUR, MINUTE, Activity
from authz.edge.http.console.chart import bars, figure
from authz.edge.http.console.markup import Cell, bullets, link, paragraph, query, section, table, tabular
from authz.edge.http.console.style import HEADERS, REFRESH_SECONDS, STYLE
from authz.edge.http.console.summary import MetricsSummary
from authz.edge.http.console.tables import TableSection, age, sections
from authz.edge.http.console.who import LISTS, who_sees_what
from authz.edge.http.console.worries import worries
from authz.edge.http.memory import Denial, Why, WorkerMemory
from authz.edge.http.status import WorkerStatus
from authz.edge.telemetry.envoy_signs import EnvoyProblem

_RULES = ("decided", "rule", "effect", "says", "part", "value", "asks", "missing")
_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    f"<title>mcp-authz</title><style>{STYLE}</style></head><body>"
)


class Seen(NamedTuple):
    """What the page is made from."""

    settings: Settings
    status: WorkerStatus
    summary: MetricsSummary
    memory: WorkerMemory
    activity: Activity
    problems: Sequence[EnvoyProblem]


def headers(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a view."""
    still = asked.get("view") == "who" or asked.get("refresh") == "off"
    return {**HEADERS} if still else {**HEADERS, "refresh": str(REFRESH_SECONDS)}


def page(seen: Seen, asked: Mapping[str, str]) -> str:
    """Return a view as HTML."""
    shown = who_sees_what(seen.settings, asked) if asked.get("view") == "who" else _overview(seen, asked)
    top = f"<header><h1>mcp-authz</h1><p>{_state(seen.status)}</p>{_nav(asked)}</header>"
    return f"{_HEAD}{top}<main>{shown}</main></body></html>\n"


def _nav(asked: Mapping[str, str]) -> str:
    if asked.get("view") == "who":
        return f'<nav aria-label="views">{link("overview", view="all")}</nav>'
    why = {"why": asked["why"]} if asked.get("why") else {}
    stopped = asked.get("refresh") == "off"
    refresh = link("refresh again", **why) if stopped else link("stop refreshing", **why, refresh="off")
    back = link("overview", view="all") if why else ""
    return f'<nav aria-label="views">{back}{link("who sees what", view="who")}{refresh}</nav>'


def _overview(seen: Seen, asked: Mapping[str, str]) -> str:
    others = [each for each in sections(seen.summary, problems=seen.status.key_problems) if not each.alarms]
    tables = [_servers(seen.settings), *others]
    return "".join(
        (
            _why(seen.memory.why, asked["why"]) if asked.get("why") else "",
            _worries(seen),
            _charts(seen.activity),
            _denials(seen.memory.denials, asked),
            _rules(seen),
            _changed(seen.memory.changed),
            *(tabular(each, number) for number, each in enumerate(tables)),
        )
    )


def _state(status: WorkerStatus) -> str:
    if status.ready and not status.reload_problem:
        return '<span class="state good">ready</span>'
    if status.ready:
        text = "ready, by the last good policy: the file cannot be used now"
    elif status.draining:
        text = "ending"
    elif status.socket_problem:
        text = f"not ready: {status.socket_problem}"
    elif status.issuers_without_keys:
        text = f"not ready: no keys of {', '.join(status.issuers_without_keys)}"
    else:
        text = "not ready"
    return f'<span class="state bad">{escape(text)}</span>'


def _worries(seen: Seen) -> str:
    found = worries(seen.settings, seen.status, seen.summary, seen.memory, seen.activity, seen.problems)
    if not found:
        return section("What worries me", paragraph("Nothing: all is well."), name="worries")
    rows = "".join(
        f'<li>{escape(each.what)}<br><span class="cure">Cure: {escape(each.cure)}.</span></li>'
        for each in found
    )
    return section("What worries me", f"<ul>{rows}</ul>", name="worries", alarms=True)


def _charts(activity: Activity) -> str:
    now = activity.now()
    text = (
        "Not known yet."
        if now is None
        else (
            f"Now {figure(now.allowed + now.denied)} decisions a second, {figure(now.denied)} of them denied."
        )
    )
    drawn = bars(activity.recent(5 * MINUTE, 60), "The last 5 minutes")
    drawn += bars(activity.recent(HOUR, 60), "The last hour")
    return section("Decisions a second", f'{paragraph(text)}<div class="charts">{drawn}</div>', name="charts")


def _denials(denials: Sequence[Denial], asked: Mapping[str, str]) -> str:
    if not denials:
        return section("Last denials", paragraph("None."), name="denials")
    still = {"refresh": "off"} if asked.get("refresh") == "off" else {}
    rows: list[tuple[Cell, ...]] = [
        (
            each.time,
            _caller(each),
            each.name or each.method or "-",
            each.reason,
            each.rule or "-",
            (f"why {each.decision_id}", query(why=each.decision_id, **still)),
        )
        for each in denials
    ]
    names = ("time", "caller", "asked for", "reason", "rule", "decision")
    return section("Last denials", table("Last denials", names, rows), name="denials")


def _caller(denial: Denial) -> str:
    if not denial.sub and not denial.client:
        return denial.source or "nobody known"
    return f"{denial.sub or '-'} by {denial.client}" if denial.client else denial.sub


def _why(why: Why | None, decision_id: str) -> str:
    if why is None:
        text = f"The denial {decision_id} is not kept any more; the audit log has it, for `mcp-authz replay`."
        return section("Why", paragraph(text), name="why")
    denial = why.denial
    what = f"{denial.kind} {denial.name}" if denial.kind else denial.method or "the request"
    by = f" by {denial.rule}" if denial.rule else ""
    said = f"{denial.time}: {what} at {denial.server or 'no server'} was denied to {_caller(denial)} as {denial.reason}{by}: {why.text}."
    return section(f"Why {decision_id}", "".join((paragraph(said), *_grounds(why))), name="why")


def _grounds(why: Why) -> Iterator[str]:
    if why.denial.detail:
        yield paragraph(f"The token was refused: {why.denial.detail}.")
    yield paragraph(why.now)
    if why.changes:
        yield paragraph("For an allow, all of these:") + bullets(why.changes)
    if why.rules:
        yield table("Rules about it", _RULES, [("yes" if row[0] else "", *row[1:]) for row in why.rules])
    yield from map(paragraph, why.notes)
    if why.grants:
        yield table("What the caller's token grants", ("", ""), why.grants)
    if why.lists:
        yield paragraph("What this caller sees in lists:") + table("What this caller sees", LISTS, why.lists)


def _rules(seen: Seen) -> str:
    hits: dict[tuple[str, str], float] = {}
    for row in seen.summary.decisions:
        hits[row.server, row.rule] = hits.get((row.server, row.rule), 0.0) + row.count
    rows = [
        (
            server.name,
            rule.name,
            f"{rule.effect.value} (shadow)" if rule.shadow else rule.effect.value,
            f"{hits.get((server.name, rule.name), 0.0):,.0f}",
            _last(hits.get((server.name, rule.name), 0.0), seen.activity.rule_age(server.name, rule.name)),
        )
        for server in seen.settings.directory.servers
        for rule in server.policy.rules
    ]
    headings = ("server", "rule", "effect", "requests decided", "last")
    return section("Rules", table("Rules", headings, rows), name="rules")


def _last(hits: float, seconds: float | None) -> str:
    """Say when a rule last decided; what was counted since the last look has no time yet."""
    return "-" if hits and seconds is None else age(seconds)


def _changed(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    shown = table("Changed locked items", ("server", "list", "item"), rows)
    return section("Changed locked items", shown, name="changed", alarms=True)


def _servers(settings: Settings) -> TableSection:
    rows = [
        (server.name, server.resource or "any host", ", ".join(server.issuers), str(len(server.policy.rules)))
        for server in settings.directory.servers
    ]
    return TableSection("servers", ("server", "resource", "issuers", "rules"), rows)

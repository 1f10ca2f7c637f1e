"""The console: one read-only page about the state of the service.

It shows what `/metrics` shows, and the names that the policy gives to servers and issuers. It has no script, no form and no
link; every value is escaped, and its content security policy lets the browser load nothing. It refreshes by a header.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape

from authz.config.settings import Settings
from authz.edge.http.console.summary import MetricsSummary
from authz.edge.http.console.tables import TableSection, key_problems, sections
from authz.edge.http.status import WorkerStatus

REFRESH_SECONDS = 10
_STYLE = """
:root{color-scheme:light dark;--line:#8884;--good:#197a3e;--bad:#b3261e}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem}
h1{font-size:1.3rem;margin:0}h2{font-size:1rem;margin:1.8rem 0 .3rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .9rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-weight:600;opacity:.7}td{font-variant-numeric:tabular-nums}
.state{font-weight:600}.good{color:var(--good)}.bad{color:var(--bad)}
@media(prefers-color-scheme:dark){:root{--good:#5fd38d;--bad:#ff8a80}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
HEADERS: Mapping[str, str] = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "refresh": str(REFRESH_SECONDS),
    "x-content-type-options": "nosniff",
}


def page(settings: Settings, status: WorkerStatus, summary: MetricsSummary) -> str:
    """Return the page as HTML."""
    shown = [*key_problems(status.key_problems), *sections(summary)]
    tables = [*(each for each in shown if each.alarms), _servers(settings)]
    tables += [each for each in shown if not each.alarms]
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>mcp-authz</title><style>{_STYLE}</style></head><body>",
            f"<h1>mcp-authz</h1><p>{_state(status)}</p>",
            *map(_table, tables),
            "</body></html>\n",
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


def _servers(settings: Settings) -> TableSection:
    rows = [
        (server.name, server.resource or "any host", ", ".join(server.issuers), str(len(server.policy.rules)))
        for server in settings.directory.servers
    ]
    return TableSection("servers", ("server", "resource", "issuers", "rules"), rows)


def _table(section: TableSection) -> str:
    head = _row("th", section.headings) if any(section.headings) else ""
    body = "".join(_row("td", row) for row in section.rows)
    title = (
        f'<h2 class="bad">{escape(section.title)}</h2>'
        if section.alarms
        else f"<h2>{escape(section.title)}</h2>"
    )
    return f"{title}<table>{head}{body}</table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

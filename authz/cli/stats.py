"""`mcp-authz stats`: the state of a running service, from its metrics."""

import json
import sys
import time
from typing import Annotated

import msgspec
import typer
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from authz.cli.policy_file import checked
from authz.config.addresses import check_http_url
from authz.edge.http.console.samples import PREFIX, Samples, difference, samples_of
from authz.edge.http.console.summary import summarize
from authz.edge.http.console.tables import TableSection, key_problems, sections, service_problems, unused
from authz.edge.jwks.problem import KeyProblem
from authz.tools.scrape import ScrapeError, scrape
from authz.tools.terminal import say, table

_URL = "http://127.0.0.1:9002"
_MARKER = f"{PREFIX}policy_info"


def stats(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The service's HTTP address.")] = _URL,
    watch: Annotated[
        float | None,
        typer.Option(
            "--watch",
            metavar="SECONDS",
            min=0.2,
            max=3600,
            help="Keep showing rates, each over this interval.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", metavar="N", min=1, help="With --watch, stop after this many intervals."),
    ] = None,
    only_unused: Annotated[
        bool,
        typer.Option(
            "--unused", help="Show only the rules that decided no request since the service started."
        ),
    ] = False,
    as_data: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --watch, one line per interval.")
    ] = False,
) -> None:
    """Read the metrics of a running service and show them as tables.

    Shows what is wrong with an issuer, decisions by rule and reason, tools, latency, the token cache, the issuers' keys and
    introspection, list filtering, reloads, shadow rules and lost audit records: totals since the service started or, with --watch, rates over each interval.
    --unused shows the rules that no request has come to, to take out or to test; one that only trims lists is among them.
    Exit status: 0, or 2 if the metrics cannot be read.

    Example: mcp-authz stats --url http://127.0.0.1:9002 --watch 5
    """
    checked("--url", url, check_http_url, "")
    try:
        if only_unused:
            _show_unused(_read(url), as_data=as_data)
        elif watch is None:
            _show(_read(url), _problems(url), None, as_data=as_data)
        else:
            _watch(url, watch, count, as_data=as_data)
    except ScrapeError as error:
        say(f"{url}: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _watch(url: str, seconds: float, count: int | None, *, as_data: bool) -> None:
    before, began = _read(url), time.monotonic()
    shown = 0
    while count is None or shown < count:
        time.sleep(seconds)
        now, at = _read(url), time.monotonic()
        if not as_data:
            _clear()
        _show(difference(now, before), _problems(url), at - began, as_data=as_data)
        before, began, shown = now, at, shown + 1


def _clear() -> None:
    """Begin again at the top of the screen, if there is one, so that the figures change in place."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[H\x1b[2J")


def _read(url: str) -> Samples:
    """Return a service's samples.

    Raises:
        ScrapeError: they cannot be read, or are not this service's.
    """
    body = scrape(url if url.rstrip("/").endswith("/metrics") else f"{url.rstrip('/')}/metrics")
    try:
        metrics: list[Metric] = list(text_string_to_metric_families(body.decode()))
    except (ValueError, KeyError, IndexError):  # the parser raises any of these
        metrics = []
    if not any(metric.name == _MARKER for metric in metrics):
        msg = "something answers, but not with mcp-authz's metrics (is this the address of `serve --http`?)"
        raise ScrapeError(msg)
    return samples_of(metrics)


def _show_unused(samples: Samples, *, as_data: bool) -> None:
    """Show the rules that decided nothing; what they trim from lists is not counted."""
    summary = summarize(samples)
    if as_data:
        sys.stdout.write(json.dumps(msgspec.to_builtins(summary.unused)) + "\n")
        return
    section = unused(summary)
    table(section.headings, section.rows)
    if not section.rows:
        say("Every rule has decided a request.")


class _Readiness(msgspec.Struct):
    """What `/readyz` says is wrong."""

    key_problems: list[KeyProblem] = []
    reload_problem: str = ""
    socket_problem: str = ""


def _problems(url: str) -> _Readiness:
    """Return what is wrong with a service; nothing if it does not say."""
    if url.rstrip("/").endswith("/metrics"):
        return _Readiness()
    try:
        body = scrape(f"{url.rstrip('/')}/readyz", also=_NOT_READY)
        return msgspec.json.decode(body, type=_Readiness)
    except (ScrapeError, msgspec.DecodeError):
        return _Readiness()


_NOT_READY = frozenset({503})


def _show(samples: Samples, problems: _Readiness, seconds: float | None, *, as_data: bool) -> None:
    summary = summarize(samples)
    if as_data:
        data = {"seconds": seconds, **msgspec.to_builtins(summary), **msgspec.to_builtins(problems)}
        sys.stdout.write(json.dumps(data, indent=None if seconds else 2) + "\n")
        sys.stdout.flush()
        return
    first = [
        *service_problems(problems.socket_problem, problems.reload_problem),
        *key_problems(problems.key_problems),
    ]
    for section in [*first, *sections(summary, seconds, problems.key_problems)]:
        _show_section(section)


def _show_section(section: TableSection) -> None:
    say(f"\n{section.title.upper()}")
    table(section.headings, section.rows, alarming=lambda _row: section.alarms)

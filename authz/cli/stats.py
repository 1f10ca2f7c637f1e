"""`mcp-authz stats`: how a running service is, from its metrics."""

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
from authz.edge.http.console.summary import PREFIX, Samples, difference, figures, samples_of
from authz.edge.http.console.tables import sections
from authz.tools.scrape import ScrapeError, scrape
from authz.tools.terminal import table

_URL = "http://127.0.0.1:9002"
_OURS = f"{PREFIX}policy_info"


def stats(
    url: Annotated[str, typer.Option("--url", metavar="URL", help="The service's HTTP address.")] = _URL,
    watch: Annotated[
        float | None,
        typer.Option("--watch", metavar="SECONDS", min=0.2, max=3600, help="Show rates, again and again."),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="End after so many rounds of --watch.")
    ] = None,
    as_data: Annotated[bool, typer.Option("--json", help="As JSON; with --watch a line a round.")] = False,
) -> None:
    """Ask a running service for its metrics and say what they mean.

    Decisions by rule and reason, tools, times, remembered tokens, the issuers' keys, lists, reloads, shadow rules and lost
    audit records; since the start of the service, or with --watch what happened in between, a second.
    Exit status: 0, or 2 when nothing can be had from there.

    Example: mcp-authz stats --url http://127.0.0.1:9002 --watch 5
    """
    checked("--url", url, check_http_url, "")
    try:
        if watch is None:
            _show(_read(url), None, as_data=as_data)
        else:
            _watch(url, watch, count, as_data=as_data)
    except ScrapeError as error:
        sys.stderr.write(f"{url}: {error}\n")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _watch(url: str, seconds: float, count: int | None, *, as_data: bool) -> None:
    before, began = _read(url), time.monotonic()
    shown = 0
    while count is None or shown < count:
        time.sleep(seconds)
        now, at = _read(url), time.monotonic()
        _show(difference(now, before), at - began, as_data=as_data)
        before, began, shown = now, at, shown + 1


def _read(url: str) -> Samples:
    """Read a service's samples.

    Raises:
        ScrapeError: there are none.
    """
    body = scrape(url if url.rstrip("/").endswith("/metrics") else f"{url.rstrip('/')}/metrics")
    try:
        metrics: list[Metric] = list(text_string_to_metric_families(body.decode()))
    except (ValueError, KeyError, IndexError):  # as the parser says it
        metrics = []
    if not any(metric.name == _OURS for metric in metrics):
        msg = "something answers, but not with mcp-authz's metrics (is this the address of `serve --http`?)"
        raise ScrapeError(msg)
    return samples_of(metrics)


def _show(samples: Samples, seconds: float | None, *, as_data: bool) -> None:
    found = figures(samples)
    if as_data:
        said = {"seconds": seconds, **msgspec.to_builtins(found)}
        sys.stdout.write(json.dumps(said, indent=None if seconds else 2) + "\n")
        sys.stdout.flush()
        return
    for section in sections(found, seconds):
        sys.stdout.write(f"\n{section.title.upper()}\n")
        sys.stdout.flush()
        table(section.headings, section.rows)

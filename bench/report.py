"""Figures as tables for people and as JSON for programs."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.rounds import Row, Sample

_HEADINGS = (
    "connections",
    "variant",
    "calls/s",
    "p50 ms",
    "p99 ms",
    "CPU us",
    "Envoy us",
    "rate / bare",
    "low..high",
    "CPU / bare",
    "generator",
)


def console() -> Console:
    """Give where tables go; wide enough for them where the output is no terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=140)


def header(facts: Mapping[str, str]) -> None:
    """Print what a run was made with."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(name, value)
    console().print(grid)


def table(title: str, headings: Sequence[str], lines: Iterable[Sequence[str]], *, words: int = 1) -> None:
    """Print a table whose first `words` columns hold words and whose others hold figures."""
    made = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        made.add_column(heading, justify="left" if index < words else "right")
    for line in lines:
        made.add_row(*line)
    console().print(made)


def rates(title: str, rows: Iterable[Row]) -> None:
    """Print medians and ratios."""
    table(title, _HEADINGS, map(_line, rows), words=2)


def _line(row: Row) -> list[str]:
    low, high = row.rate_spread
    return [
        str(row.connections),
        row.variant,
        f"{row.rate:,.0f}",
        f"{row.p50_ms:.2f}",
        f"{row.p99_ms:.2f}",
        _figure(row.backend_us, ".0f"),
        _figure(row.envoy_us, ".0f"),
        _figure(row.rate_ratio, ".3f"),
        f"{low:.2f}..{high:.2f}" if row.rate_ratio else "-",
        _figure(row.cpu_ratio, ".2f"),
        f"{row.busy:.0%}",
    ]


def _figure(value: float, form: str) -> str:
    return format(value, form) if value else "-"


def write_json(file: Path, facts: Mapping[str, str], rows: Iterable[Row], samples: Iterable[Sample]) -> None:
    """Write everything: the facts, the medians, and every sample they were taken from."""
    document: dict[str, Any] = {
        "facts": dict(facts),
        "rows": [dataclasses.asdict(row) for row in rows],
        "samples": [dataclasses.asdict(sample) for sample in samples],
    }
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

"""Output for people: texts that a sender chose made fit for a terminal, and tables of them."""

import json
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text


def plain(text: str) -> str:
    """Give a text in JSON's ASCII form, which has no character that could steer a terminal."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


def table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows below headings; nothing when there are none."""
    shown = Table(box=None, pad_edge=False)
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    if shown.row_count:
        Console().print(shown)

"""Output for people: text that a sender chose, made safe for a terminal, and tables of it."""

import json
from collections.abc import Iterable
from shutil import get_terminal_size
from textwrap import fill

from rich.console import Console
from rich.table import Table
from rich.text import Text


def plain(text: str) -> str:
    """Return a text in JSON's ASCII form, which has no character that could control a terminal."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


def wrapped(line: str, indent: int = 8) -> str:
    """Return a line broken between words to fit the terminal, 80 columns in a pipe; what follows is indented."""
    return fill(
        line,
        get_terminal_size().columns,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(
    headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], style: str = "", *, err: bool = False
) -> None:
    """Print rows below headings, or nothing if there are no rows; with `err` on stderr. A style shows on a terminal only."""
    shown = Table(box=None, pad_edge=False, style=style)
    for heading in headings:
        shown.add_column(heading, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain(cell)) for cell in row))
    if shown.row_count:
        Console(stderr=err).print(shown)

"""Output for people: lines, and tables of cells.

A table's cells are made safe for a terminal. `say` prints a text as it is: what a sender chose goes through `plain` first.

On a terminal, lines and cells are broken between words to fit it. A word is cut only where no width would hold it. In a pipe,
each line and each row is one line however long, so that `grep` finds it whole, and nothing is coloured. COLUMNS, where it is
set, is a width for both.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import zip_longest
from textwrap import TextWrapper
from typing import TextIO

_DEFAULT_WIDTH = 80
_GAP = 2


class Style(Enum):
    """How a line looks on a terminal."""

    PLAIN = ""
    BOLD = "1"
    ALARM = "1;31"
    ADDED = "32"
    REMOVED = "31"
    PLACE = "36"


def plain(text: str) -> str:
    """Return a text in JSON's ASCII form, which has no character that could control a terminal."""
    return json.dumps(text)[1:-1].replace('\\"', '"')


def columns(*, err: bool = False) -> int | None:
    """Return the width that a stream's lines must fit; None in a pipe."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    stream = _stream(err=err)
    if not stream.isatty():
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_WIDTH
    except OSError:
        return _DEFAULT_WIDTH


def say(
    text: str,
    *,
    err: bool = False,
    indent: int = 4,
    prefix: str = "",
    style: Style = Style.PLAIN,
    whole: bool = False,
) -> None:
    """Print each line of a text, broken to fit.

    Args:
        text: one or more lines.
        err: whether to print on stderr.
        indent: columns before what follows a break.
        prefix: what then begins the line.
        style: how it looks on a terminal.
        whole: whether it is not to be broken, because somebody will paste it.
    """
    stream, width = _stream(err=err), None if whole else columns(err=err)
    for line in text.split("\n"):
        for part in _broken(line, width, " " * indent + prefix):
            stream.write(f"{_styled(part, style, stream)}\n")
    stream.flush()


def table(
    headings: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    *,
    alarming: Callable[[tuple[str, ...]], bool] = lambda _row: False,
    err: bool = False,
) -> None:
    """Print rows below headings, or nothing if there are no rows; with `err` on stderr. On a terminal, alarming rows are red."""
    shown = list(rows)
    if not shown:
        return
    stream = _stream(err=err)
    styles = [Style.BOLD, *(Style.ALARM if alarming(row) else Style.PLAIN for row in shown)]
    grid = [headings, *(tuple(map(plain, row)) for row in shown)]
    widths = _widths(grid, columns(err=err))
    for row, style in zip(grid, styles, strict=True):
        for line in _row(row, widths):
            if line or any(row):
                stream.write(f"{_styled(line, style, stream)}\n")
    stream.flush()


class _Wrapper(TextWrapper):
    """Breaks a line between words. A word that fits no line stays whole, so that it can be copied, but for dotted paths."""

    _cuts = re.compile(r"[^.]*\.(?=[A-Za-z_])|.+")

    def __init__(self, width: int, *, subsequent_indent: str = "", break_long_words: bool = False) -> None:
        super().__init__(
            width,
            subsequent_indent=subsequent_indent,
            break_long_words=break_long_words,
            break_on_hyphens=False,
        )

    def _split(self, text: str) -> list[str]:
        """Return words and spaces, and parts of words that are too long."""
        room = self.width - len(self.subsequent_indent)
        parts: list[str] = []
        for word in super()._split(text):
            parts += self._cuts.findall(word) if len(word) > room and self._may_cut(word) else [word]
        return parts

    def _may_cut(self, word: str) -> bool:
        return "[" in word and "/" not in word


class _CellWrapper(_Wrapper):
    """Breaks a cell between words, and a word that is wider than the column behind a punctuation mark if it has one."""

    _cuts = re.compile(r"[A-Za-z0-9]+[^A-Za-z0-9]*|[^A-Za-z0-9]+")

    def __init__(self, width: int) -> None:
        super().__init__(width, break_long_words=True)

    def _may_cut(self, word: str) -> bool:
        return bool(word)


def _stream(*, err: bool) -> TextIO:
    return sys.stderr if err else sys.stdout


def _styled(line: str, style: Style, stream: TextIO) -> str:
    coloured = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return f"\x1b[{style.value}m{line}\x1b[0m" if style.value and coloured else line


def _broken(line: str, width: int | None, further: str) -> list[str]:
    """Return a line as lines that fit; a word that does not fit stays whole, and the terminal cuts it."""
    if width is None or len(line) <= width:
        return [line]
    # Too narrow for an indent is too narrow for anything.
    further = further if len(further) < width else ""
    return _Wrapper(width, subsequent_indent=further).wrap(line)


def _row(row: tuple[str, ...], widths: Sequence[int]) -> Iterable[str]:
    cells = [_CellWrapper(width).wrap(cell) for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*cells, fillvalue=""):
        padded = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
        yield (" " * _GAP).join(padded).rstrip()


def _widths(grid: Sequence[tuple[str, ...]], room: int | None) -> list[int]:
    """Return the width of each column: what its cells need or, if that is too much, less of the widest.

    No column is narrower than its longest word as long as that leaves room for the others.
    """
    cells = list(zip(*grid, strict=True))
    needed = [max(1, *map(len, column)) for column in cells]
    if room is None:
        return needed
    room = max(len(cells), room - _GAP * (len(cells) - 1))
    words = [max((len(word) for cell in column for word in cell.split()), default=1) for column in cells]
    widths = [min(width, room) for width in needed]
    for least in (words, [1] * len(cells)):
        while sum(widths) > room:
            spare = [index for index, width in enumerate(widths) if width > least[index]]
            if not spare:
                break
            widths[max(spare, key=widths.__getitem__)] -= 1
    return widths

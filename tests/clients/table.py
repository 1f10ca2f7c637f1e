"""Drives a client through every cell, judges what its user saw, and writes the table."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.clients.cells import CELLS
from tests.clients.expected import AGAIN, EVERYWHERE, Expected
from tests.clients.place import Place
from tests.clients.rows import Row
from tests.support.node import run_to_end

_SECONDS = 300.0
_NAME_WIDTH = 23


@dataclass(frozen=True)
class Judged:
    """One cell of one client.

    Attributes:
        told: what its user saw, line by line.
        expected: the patterns of those lines.
        followed: paths beside MCP's that were asked of the server behind; always wrong.
    """

    told: Sequence[str]
    expected: Expected
    followed: Sequence[str] = ()

    @property
    def right(self) -> bool:
        """Whether it is as expected."""
        matches = len(self.told) == len(self.expected) and all(
            re.fullmatch(pattern, line, re.DOTALL)
            for pattern, line in zip(self.expected, self.told, strict=True)
        )
        return matches and not self.followed

    @property
    def mark(self) -> str:
        """Write it for the table: `ok`, `ok*` for a client that goes on with a new connection, or `NO`."""
        if not self.right:
            return "NO"
        return "ok*" if self.told[-1] == AGAIN else "ok"


@dataclass(frozen=True)
class Played:
    """One client: the version that it spoke and its cells, or why it did not run."""

    version: str = ""
    cells: Mapping[str, Judged] | None = None
    missing: str = ""
    wrong: str = ""

    @property
    def right(self) -> bool:
        """Whether all is as expected; a client that cannot be had here is not wrong."""
        return not self.wrong and all(cell.right for cell in (self.cells or {}).values())

    @property
    def summary(self) -> str:
        """Say in a few words how it went."""
        marks = [cell.right for cell in (self.cells or {}).values()]
        return self.wrong or f"{sum(marks)} of {len(marks)} cells as expected"


def play(row: Row, command: Sequence[str], place: Place) -> Played:
    """Drive a client through its cells."""
    cells = row.cells
    stories = json.dumps({name: CELLS[name].story() for name in cells})
    before = len(place.followed())
    arguments = [*command, place.url, row.era or "-", stories]
    done = run_to_end(arguments, seconds=_SECONDS, env={"TOKEN": place.token})
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return Played(wrong=f"its driver failed: {done.stderr.strip()[-2000:]}")
    followed = place.followed()[before:]
    judged = {
        name: Judged(
            lines, expected_of(row, name), followed if name in {"redirect behind", "challenge behind"} else ()
        )
        for name, lines in told["stories"].items()
    }
    version = told["version"]
    wrong = f"it speaks {version}, not {row.speaks}" if row.speaks not in {"", version} else ""
    if {*judged} != {*cells}:
        wrong = "its driver left out cells"
    return Played(version, {name: judged[name] for name in cells if name in judged}, wrong=wrong)


def expected_of(row: Row, cell: str) -> Expected:
    """Give what the user of a client must see in a cell."""
    return row.expected.get(cell, EVERYWHERE[cell])


def table(played: Mapping[str, Played]) -> str:
    """Write the table for people, at most 80 columns wide."""
    numbers = [f"{number:>5}" for number in range(1, len(CELLS) + 1)]
    lines = ["client".ljust(_NAME_WIDTH) + "".join(numbers)]
    for name, client in played.items():
        cells = client.cells or {}
        marks = [f"{cells[cell].mark if cell in cells else '-':>5}" for cell in CELLS]
        lines.append(name.ljust(_NAME_WIDTH) + "".join(marks))
    lines += [
        "",
        *(f"{number:>3}  {cell}: {CELLS[cell].meaning}" for number, cell in enumerate(CELLS, start=1)),
    ]
    lines += ["", "ok: as expected and goes on; ok*: goes on after connecting again; -: not played"]
    return "\n".join(lines)


def details(name: str, client: Played, *, everything: bool) -> str:
    """Write what the user of a client saw: in all cells, or in those that are wrong."""
    lines = [f"{name}: skipped, {client.missing}"] if client.missing else []
    lines += [f"{name}: {client.wrong}"] if client.wrong else []
    for cell, judged in (client.cells or {}).items():
        if judged.right and not everything:
            continue
        lines.append(f"{name}, {cell}:")
        lines += [f"    {line}" for told in judged.told for line in told.splitlines()]
        if not judged.right:
            lines += [f"    expected {pattern}" for pattern in judged.expected]
            lines += [f"    the server behind was asked for {path}" for path in judged.followed]
    return "\n".join(lines)


def as_json(played: Mapping[str, Played]) -> dict[str, Any]:
    """Write everything for programs."""
    return {
        name: {
            "version": client.version,
            "missing": client.missing,
            "right": client.right,
            "cells": {
                cell: {**asdict(judged), "right": judged.right}
                for cell, judged in (client.cells or {}).items()
            },
        }
        for name, client in played.items()
    }

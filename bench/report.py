"""A run as tables in the terminal, as JSON, and as Markdown inside a document.

Everything that is shown is made from the JSON document, so that a table in the documentation and the file it came from
cannot differ. A document has `facts`, `parts` by name and `goals`; several of them, say of parts that were measured one
after the other, are merged.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as Drawn

from bench import goals
from bench.tables import Table, tables
from bench.tables import goals as goals_table

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"


def console() -> Console:
    """Give where tables go; wide enough for them where the output is no terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=170)


def document(facts: Mapping[str, str], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Give everything about a run: what it was made with, what was measured, and which goals held."""
    return {"facts": dict(facts), "parts": dict(parts), "goals": goals.judged(parts)}


def merged(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Make one document of several; of a part that two have the later one counts.

    A fact that is not the same in all of them is told for each, with the parts that it is about.
    """
    listed = list(documents)
    parts = {name: part for one in listed for name, part in one["parts"].items()}
    names = dict.fromkeys(name for one in listed for name in one["facts"])
    return document({name: _fact(name, listed) for name in names}, parts)


def _fact(name: str, documents: Sequence[Mapping[str, Any]]) -> str:
    told: dict[str, str] = {", ".join(one["parts"]): one["facts"].get(name, "not told") for one in documents}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return "; ".join(f"{parts}: {value}" for parts, value in told.items())


def show(run: Mapping[str, Any]) -> None:
    """Print a run."""
    grid = Drawn.grid(padding=(0, 2))
    for name, value in run["facts"].items():
        grid.add_row(name, value)
    screen = console()
    screen.print(grid)
    for table in (*tables(run["parts"]), goals_table(run["goals"])):
        screen.print(_drawn(table))


def _drawn(table: Table) -> Drawn:
    made = Drawn(title=table.title, title_justify="left")
    for index, heading in enumerate(table.headings):
        made.add_column(heading, justify="left" if index < table.words else "right")
    for line in table.lines:
        made.add_row(*line)
    return made


def write_json(file: Path, run: Mapping[str, Any]) -> None:
    """Write a run."""
    file.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def markdown(run: Mapping[str, Any], plot: str = "") -> str:
    """Give a run as Markdown: what it was made with, the goals, the plot where there is one, and every table.

    Args:
        run: a document.
        plot: address of the image; empty for none.
    """
    facts = "\n".join(f"| {name} | {value} |" for name, value in run["facts"].items())
    image = [f"![Calls per second and CPU a call, by variant]({plot})"] if plot else []
    first = [f"| | |\n|---|---|\n{facts}", _markdown(goals_table(run["goals"])), *image]
    return "\n\n".join([*first, *map(_markdown, tables(run["parts"]))])


def _markdown(table: Table) -> str:
    rule = ["---" if index < table.words else "---:" for index in range(len(table.headings))]
    lines = ["| " + " | ".join(line) + " |" for line in (table.headings, *table.lines)]
    return "\n".join([f"### {table.title}", "", lines[0], "|" + "|".join(rule) + "|", *lines[1:]])


def insert(text: str, section: str) -> str:
    """Put a section between the marks of a text, in the place of what is there.

    Raises:
        ValueError: the text does not have each of the two marks once, in their order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or END in before or BEGIN in after or END in after:
        msg = f"expected {BEGIN} and {END} once each"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"

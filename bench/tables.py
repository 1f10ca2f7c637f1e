"""The tables of each part of a run, made from what stands in the JSON document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.samples import Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table for people: the first `words` columns hold words, the others figures."""

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, the field it shows, and how.

    Attributes:
        form: a format of Python, or `spread` for a pair; "-" before it shows zero as a dash.
        scale: what the field is multiplied by.
    """

    heading: str
    key: str
    form: str = ""
    scale: float = 1

    def cell(self, row: Fields) -> str:
        """Return the text of one row."""
        value, form = row[self.key], self.form.removeprefix("-")
        if form == "spread":
            return f"{value[0]:.2f}..{value[1]:.2f}" if any(value) else ""
        if form != self.form and not value:
            return "-"
        return format(value * self.scale if self.scale != 1 else value, form)


_MB = 1024 / 1e6
_RATES = (
    Column("connections", "connections"),
    Column("variant", "variant"),
    Column("calls/s", "rate", ",.0f"),
    Column("p50 ms", "p50_ms", ".2f"),
    Column("p99 ms", "p99_ms", ".2f"),
    Column("p99.9 ms", "p999_ms", ".2f"),
    Column("CPU µs", "backend_us", "-.0f"),
    Column("Envoy µs", "envoy_us", "-.0f"),
    Column("rate / bare", "rate_ratio", "-.2f"),
    Column("low..high", "rate_spread", "spread"),
    Column("CPU / bare", "backend_us_ratio", "-.2f"),
    Column("both / bare", "total_us_ratio", "-.2f"),
    Column("generator", "busy", ".0%"),
)
_SESSIONS = tuple(replace(column, heading=column.heading.replace("bare", "call")) for column in _RATES)
_LOCKED = tuple(replace(column, heading=column.heading.replace("bare", "no lock")) for column in _RATES)
_HALF = (
    Column("variant", "variant"),
    Column("p50 ms", "p50_ms", ".2f"),
    Column("p99 ms", "p99_ms", ".2f"),
    Column("p99.9 ms", "p999_ms", ".2f"),
    Column("p99 / bare", "p99_ms_ratio", ".2f"),
    Column("low..high", "p99_ms_spread", "spread"),
    Column("generator late, p99 ms", "late_ms", ".2f"),
    Column("generator", "busy", ".0%"),
)
_LISTS = (
    Column("tools", "tools", ","),
    Column("list", "variant"),
    Column("bytes", "bytes", ",.0f"),
    Column("ms", "ms", ".2f"),
    Column("time / untrimmed", "ms_ratio", ".2f"),
    Column("low..high", "ms_spread", "spread"),
    Column("backend CPU µs", "service_us", ",.0f"),
    Column("Envoy CPU µs", "envoy_us", ",.0f"),
    Column("backend's peak MB", "peak_kib", ".0f", _MB),
)
_REWRITER = (
    Column("tools", "tools", ","),
    Column("CPU µs", "us", ",.0f"),
    Column("µs a tool", "each_us", ".1f"),
    Column("peak bytes allocated", "peak_bytes", ","),
    Column("times the list", "times", ".1f"),
)
_MEMORY = (
    Column("Checks", "checks", ","),
    Column("distinct tokens", "tokens", ","),
    Column("MB", "rss_kib", ".1f", _MB),
)
_TOKENS = (
    Column("distinct tokens, all remembered", "tokens", ","),
    Column("MB", "rss_kib", ".1f", _MB),
    Column("CPU µs a Check among them", "us", ".1f"),
)


def make_table(title: str, columns: Sequence[Column], rows: Iterable[Fields], words: int = 1) -> Table:
    """Return a table with a line for each row."""
    lines = [[column.cell(row) for column in columns] for row in rows]
    return Table(title=title, headings=[column.heading for column in columns], lines=lines, words=words)


def tables(parts: Mapping[str, Any]) -> list[Table]:
    """Return every table of what was measured."""
    return [table for name, make in _MAKERS.items() if name in parts for table in make(parts[name])]


def goals_table(judged: Iterable[Fields]) -> Table:
    """Return the table of goals."""
    headings = ("goal", "bound", "measured", "held")
    return Table(title="Goals", headings=headings, lines=[_goal(one) for one in judged])


def _goal(one: Fields) -> list[str]:
    unit = f" {one['unit']}" if one["unit"] else ""
    form = ".0f" if one["unit"] else ".2f"
    value, sign = one["measured"], "≤" if one["at_most"] else "≥"
    held = {True: "yes", False: "no", None: "-"}[one["held"]]
    measured = "not measured" if value is None else f"{value:{'.1f' if one['unit'] else '.3f'}}{unit}"
    return [one["goal"], f"{sign} {one['bound']:{form}}{unit}", measured, held]


def _half(part: Fields) -> list[Table]:
    title = f"At half load: {part['rate']:,.0f} calls/s, of a peak of {part['peak']:,.0f}"
    return [make_table(title, _HALF, part["rows"])]


def _growth(title: str, what: str, points: Iterable[Fields]) -> Table:
    size, cost = Column(what, "size", ","), Column("CPU µs", "us", ",.1f")
    ratio, spread = (
        Column("times the smallest", "us_ratio", ".2f"),
        Column("low..high", "us_spread", "spread"),
    )
    return make_table(title, (size, cost, ratio, spread), points)


def _sizes(part: Fields) -> list[Table]:
    return [
        _growth("A whole Check without gRPC, rules with one name each", "rules", part["rules"]),
        _growth("A whole Check without gRPC, five rules that share the tools", "tools", part["tools"]),
    ]


def _core(part: Fields) -> list[Table]:
    parsing = [{"message": name, "us": us} for name, us in part["parsing"].items()]
    return [
        _stages(part["stages"]),
        make_table("Protobuf", (Column("message", "message"), Column("µs", "us", ".1f")), parsing),
        _growth("The decision alone, rules with one name each", "rules", part["rules"]),
        _growth("The decision alone, patterns, names not seen before", "rules", part["patterns"]),
        _growth("Trimming alone, every second tool cut", "tools", part["lists"]),
    ]


def _stages(found: Mapping[str, Mapping[str, float]]) -> Table:
    named = dict.fromkeys(name for part in found.values() for name in part)
    last = ("other", "whole")
    most = {name: max(part.get(name, 0.0) for part in found.values()) for name in named}
    names = sorted((name for name in named if name not in last), key=lambda name: -most[name])
    columns = [Column("stage", "stage"), *(Column(name, name, "-.1f") for name in found)]
    rows = [
        {"stage": name, **{variant: part.get(name, 0.0) for variant, part in found.items()}}
        for name in (*names, *last)
    ]
    return make_table("One Check without gRPC, µs by stage", columns, rows)


def _lists(part: Fields) -> list[Table]:
    alone = [
        {**row, "each_us": row["us"] / row["tools"], "times": row["peak_bytes"] / row["bytes"]}
        for row in part["rewriter"]
    ]
    through = "Lists through Envoy, one at a time, of a server"
    return [
        make_table(f"{through} that has them ready", _LISTS, part["rows"], words=2),
        make_table(f"{through} on the official SDK", _LISTS, part["sdk"], words=2),
        make_table("Lists through the rewriter alone, half cut", _REWRITER, alone),
    ]


def _lock(part: Fields) -> list[Table]:
    tools = f"{part['tools']:,}"
    return [
        make_table(
            f"A list of {tools} tools, half cut, with and without a lock", _LOCKED, part["lists"], words=2
        ),
        make_table("A call with and without a locked schema", _LOCKED, part["calls"], words=2),
    ]


def _memory(part: Fields) -> list[Table]:
    return [
        make_table("Memory: A served worker over gRPC", _MEMORY, part["served"]),
        make_table("Memory: A worker without gRPC", _MEMORY, part["soak"]),
        make_table("Tokens: a worker without gRPC", _TOKENS, part["tokens"]),
    ]


_MAKERS: dict[str, Callable[[Fields], list[Table]]] = {
    "envoy": lambda part: [make_table("Behind Envoy", _RATES, part["rows"], words=2)],
    "half": _half,
    "direct": lambda part: [make_table("gRPC without Envoy", _RATES, part["rows"], words=2)],
    "sizes": _sizes,
    "core": _core,
    "sessions": lambda part: [make_table("What clients send", _SESSIONS, part["rows"], words=2)],
    "lists": _lists,
    "lock": _lock,
    "memory": _memory,
}

"""The tables of each part of a run, made from what stands in the JSON document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table for people.

    Attributes:
        title: its heading.
        headings: of its columns.
        lines: its cells.
        words: how many columns at the left hold words; the others hold figures.
    """

    title: str
    headings: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1


def tables(parts: Mapping[str, Any]) -> list[Table]:
    """Make every table of what was measured."""
    return [table for name, make in _MAKERS.items() if name in parts for table in make(parts[name])]


def goals(judged: Iterable[Mapping[str, Any]]) -> Table:
    """Make the table of goals."""
    return Table(
        title="Goals", headings=("goal", "bound", "measured", "held"), lines=[_goal(one) for one in judged]
    )


def _goal(one: Mapping[str, Any]) -> list[str]:
    unit = f" {one['unit']}" if one["unit"] else ""
    form = ".0f" if one["unit"] else ".2f"
    value, sign = one["measured"], "≤" if one["at_most"] else "≥"
    held = {True: "yes", False: "no", None: "-"}[one["held"]]
    measured = "not measured" if value is None else f"{value:{'.1f' if one['unit'] else '.3f'}}{unit}"
    return [one["goal"], f"{sign} {one['bound']:{form}}{unit}", measured, held]


def _figure(value: float, form: str) -> str:
    return format(value, form) if value else "-"


def _spread(pair: Sequence[float], *, shown: bool = True) -> str:
    return f"{pair[0]:.2f}..{pair[1]:.2f}" if shown else ""


_RATE_HEADINGS = (
    "connections",
    "variant",
    "calls/s",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "CPU µs",
    "Envoy µs",
    "rate / bare",
    "low..high",
    "CPU / bare",
    "both / bare",
    "generator",
)


def _rates(title: str) -> Callable[[Mapping[str, Any]], list[Table]]:
    return lambda part: [
        Table(title=title, headings=_RATE_HEADINGS, lines=[_rate(row) for row in part["rows"]], words=2)
    ]


def _rate(row: Mapping[str, Any]) -> list[str]:
    return [
        str(row["connections"]),
        row["variant"],
        f"{row['rate']:,.0f}",
        f"{row['p50_ms']:.2f}",
        f"{row['p99_ms']:.2f}",
        f"{row['p999_ms']:.2f}",
        _figure(row["backend_us"], ".0f"),
        _figure(row["envoy_us"], ".0f"),
        _figure(row["rate_ratio"], ".2f"),
        _spread(row["rate_spread"], shown=bool(row["rate_ratio"])),
        _figure(row["cpu_ratio"], ".2f"),
        _figure(row["total_ratio"], ".2f"),
        f"{row['busy']:.0%}",
    ]


def _half(part: Mapping[str, Any]) -> list[Table]:
    lines = [
        [
            row["variant"],
            *(f"{row[key]:.2f}" for key in ("p50_ms", "p99_ms", "p999_ms")),
            f"{row['p99_ratio']:.2f}",
            _spread(row["p99_spread"]),
            f"{row['late_ms']:.2f}",
            f"{row['busy']:.0%}",
        ]
        for row in part["rows"]
    ]
    title = f"At half load: {part['rate']:,.0f} calls/s, of a peak of {part['peak']:,.0f}"
    headings = (
        "variant", "p50 ms", "p99 ms", "p99.9 ms", "p99 / bare", "low..high", "generator late, p99 ms", "generator",
    )  # fmt: skip
    return [Table(title=title, headings=headings, lines=lines)]


def _growth(title: str, what: str, points: Iterable[Mapping[str, Any]]) -> Table:
    lines = [[f"{p['size']:,}", f"{p['us']:,.1f}", f"{p['ratio']:.2f}", _spread(p["spread"])] for p in points]
    return Table(title=title, headings=(what, "CPU µs", "times the smallest", "low..high"), lines=lines)


def _sizes(part: Mapping[str, Any]) -> list[Table]:
    return [
        _growth("A whole Check without gRPC, rules with one name each", "rules", part["rules"]),
        _growth("A whole Check without gRPC, five rules that share the tools", "tools", part["tools"]),
    ]


def _core(part: Mapping[str, Any]) -> list[Table]:
    parsing = [[name, f"{us:.1f}"] for name, us in part["parsing"].items()]
    return [
        _stages(part["stages"]),
        Table(title="Protobuf", headings=("message", "µs"), lines=parsing),
        _growth("The decision alone, rules with one name each", "rules", part["rules"]),
        _growth("The decision alone, patterns, names not seen before", "rules", part["patterns"]),
        _growth("Trimming alone, every second tool cut", "tools", part["lists"]),
    ]


def _stages(found: Mapping[str, Mapping[str, float]]) -> Table:
    named = dict.fromkeys(name for part in found.values() for name in part)
    last = ("other", "whole")
    names = sorted(
        (name for name in named if name not in last),
        key=lambda name: -max(part.get(name, 0.0) for part in found.values()),
    )
    lines = [
        [name, *(f"{part[name]:.1f}" if name in part else "-" for part in found.values())]
        for name in (*names, *last)
    ]
    return Table(title="One Check without gRPC, µs by stage", headings=("stage", *found), lines=lines)


def _lists(part: Mapping[str, Any]) -> list[Table]:
    alone = [
        [
            f"{row['tools']:,}",
            f"{row['us']:,.0f}",
            f"{row['us'] / row['tools']:.1f}",
            f"{row['peak_bytes']:,}",
            f"{row['peak_bytes'] / row['bytes']:.1f}",
        ]
        for row in part["rewriter"]
    ]
    return [
        _listed("Lists through Envoy, one at a time, of a server that has them ready", part["rows"]),
        _listed("Lists through Envoy, one at a time, of a server on the official SDK", part["sdk"]),
        Table(
            title="Lists through the rewriter alone, half cut",
            headings=("tools", "CPU µs", "µs a tool", "peak bytes allocated", "times the list"),
            lines=alone,
        ),
    ]


def _listed(title: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    headings = (
        "tools", "list", "bytes", "ms", "time / untrimmed", "low..high", "backend CPU µs", "Envoy CPU µs",
        "backend's peak MB",
    )  # fmt: skip
    lines = [
        [
            f"{row['tools']:,}",
            row["way"],
            f"{row['bytes']:,}",
            f"{row['ms']:.2f}",
            f"{row['ratio']:.2f}",
            _spread(row["spread"]),
            f"{row['service_us']:,.0f}",
            f"{row['envoy_us']:,.0f}",
            f"{row['peak_kib'] * 1024 / 1e6:.0f}",
        ]
        for row in rows
    ]
    return Table(title=title, headings=headings, lines=lines, words=2)


def _memory(part: Mapping[str, Any]) -> list[Table]:
    made = []
    for run, title in (("served", "A served worker over gRPC"), ("soak", "A worker without gRPC")):
        lines = [[f"{m['checks']:,}", f"{m['tokens']:,}", _megabytes(m)] for m in part[run]]
        made.append(
            Table(title=f"Memory: {title}", headings=("Checks", "distinct tokens", "MB"), lines=lines)
        )
    lines = [[f"{m['tokens']:,}", _megabytes(m), f"{m['us']:.1f}"] for m in part["tokens"]]
    headings = ("distinct tokens, all remembered", "MB", "CPU µs a Check among them")
    return [*made, Table(title="Tokens: a worker without gRPC", headings=headings, lines=lines)]


def _megabytes(mark: Mapping[str, Any]) -> str:
    return f"{mark['rss_kib'] * 1024 / 1e6:.1f}"


_MAKERS: dict[str, Callable[[Mapping[str, Any]], list[Table]]] = {
    "envoy": _rates("Behind Envoy"),
    "half": _half,
    "direct": _rates("gRPC without Envoy"),
    "sizes": _sizes,
    "core": _core,
    "lists": _lists,
    "memory": _memory,
}

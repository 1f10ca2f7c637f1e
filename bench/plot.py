"""The plot: calls per second, and CPU a call of backend and Envoy, by variant; one column a number of connections."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.workload import REFERENCE

_BACKEND, _ENVOY, _PLAIN, _INK = "#3b6ea5", "#c9a227", "#8aa9c8", "#222222"

Fields = Mapping[str, Any]


def write_plot(file: Path, rows: Sequence[Fields], facts: Mapping[str, str]) -> None:
    """Draw the rows of the part `envoy` as SVG, with a line of what the run was made with at the bottom."""
    several = list(dict.fromkeys(row["connections"] for row in rows))
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    height = 2.0 + len(variants) * 0.6
    figure = Figure(figsize=(1.5 + 3 * len(several), height), layout="constrained")
    axes = figure.subplots(2, len(several), sharey=True, squeeze=False)
    for place, connections in enumerate(several):
        mine = {row["variant"]: row for row in rows if row["connections"] == connections}
        _draw_rates(axes[0][place], mine)
        _draw_costs(axes[1][place], mine)
        axes[0][place].set_title(f"{connections} connection{'s' if connections > 1 else ''}")
    axes[0][0].invert_yaxis()  # all of them: the axis is shared
    figure.supxlabel(" · ".join(facts[key] for key in ("cpu", "python", "run") if key in facts), fontsize=8)
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "bench"}
    ):  # text stays text; equal runs, equal files
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _draw_rates(axes: Axes, rows: Mapping[str, Fields]) -> None:
    """Draw bars, with whiskers from the lowest to the highest ratio to the reference."""
    rates = [row["rate"] for row in rows.values()]
    colours = [_BACKEND if variant == REFERENCE else _PLAIN for variant in rows]
    bars = axes.barh(list(rows), rates, color=colours)
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=3, fontsize=8)
    if REFERENCE in rows:
        ends = [[ratio * rows[REFERENCE]["rate"] for ratio in row["rate_spread"]] for row in rows.values()]
        axes.hlines(list(rows), *zip(*ends, strict=True), color=_INK, linewidth=1)
    axes.set_xlabel("calls per second", fontsize=8)
    axes.margins(x=0.35)


def _draw_costs(axes: Axes, rows: Mapping[str, Fields]) -> None:
    """Draw the backend's bar, and Envoy's after it."""
    backend = [row["backend_us"] for row in rows.values()]
    envoy = [row["envoy_us"] for row in rows.values()]
    axes.barh(list(rows), backend, color=_BACKEND)
    bars = axes.barh(list(rows), envoy, left=backend, color=_ENVOY)
    labels = [f"{own:.0f} + {other:.0f}" for own, other in zip(backend, envoy, strict=True)]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_xlabel("CPU µs a call: backend (blue), Envoy (yellow)", fontsize=8)
    axes.margins(x=0.35)

"""The plot: calls per second, and CPU a call of backend and Envoy, by variant; one column a number of connections."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from bench.workload import REFERENCE

_LABELS, _COLUMN, _GAP, _TOP, _ROW, _BAR = 120, 250, 20, 70, 26, 16
_ROOM = 72
"""Place for a figure at the right of the longest bar."""
_BACKEND, _ENVOY, _PLAIN, _INK, _FAINT = "#3b6ea5", "#c9a227", "#8aa9c8", "#222222", "#999999"

Row = Mapping[str, Any]


def plot(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """Draw the rows of the part `envoy`.

    Args:
        rows: medians by variant and number of connections.
        facts: what the run was made with; a line of it stands below.
    """
    columns = list(dict.fromkeys(row["connections"] for row in rows))
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    block = len(variants) * _ROW
    width = _LABELS + len(columns) * (_COLUMN + _GAP)
    height = 2 * (_TOP + block) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_block(rows, columns, variants, 0, "calls per second; whiskers: lowest and highest ratio to bare"),
        *_block(rows, columns, variants, _TOP + block, "CPU µs a call: backend (blue), Envoy (yellow)"),
        _text(10, height - 12, _footer(facts), size=10, fill=_FAINT),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _footer(facts: Mapping[str, str]) -> str:
    known = (f"{facts[key]}" for key in ("cpu", "python", "run") if key in facts)
    return " · ".join(known)


def _block(
    rows: Sequence[Row], columns: list[int], variants: list[str], top: int, title: str
) -> Iterator[str]:
    is_cost = bool(top)
    yield _text(10, top + 22, title, size=14)
    for index, variant in enumerate(variants):
        yield _text(10, top + _TOP + index * _ROW + _BAR - 3, variant)
    for place, connections in enumerate(columns):
        left = _LABELS + place * (_COLUMN + _GAP)
        yield _text(left, top + 50, f"{connections} connection{'s' if connections > 1 else ''}", fill=_FAINT)
        mine = {row["variant"]: row for row in rows if row["connections"] == connections}
        most = max(_cost(row) if is_cost else row["rate"] for row in mine.values())
        scale = (_COLUMN - _ROOM) / most
        for index, variant in enumerate(variants):
            if variant in mine:
                draw = _cost_bar if is_cost else _rate_bar
                yield from draw(mine, variant, left, top + _TOP + index * _ROW, scale)


def _cost(row: Row) -> float:
    return float(row["backend_us"] + row["envoy_us"])


def _rate_bar(rows: Mapping[str, Row], variant: str, left: int, top: int, scale: float) -> Iterator[str]:
    row, bare = rows[variant], rows.get(REFERENCE)
    length = row["rate"] * scale
    yield _bar(left, top, length, _BACKEND if variant == REFERENCE else _PLAIN)
    if bare is not None and variant != REFERENCE:
        low, high = (ratio * bare["rate"] * scale for ratio in row["rate_spread"])
        high = min(high, float(_COLUMN))
        middle = top + _BAR / 2
        yield (
            f'<line x1="{left + low:.1f}" x2="{left + high:.1f}" y1="{middle}" y2="{middle}" stroke="{_INK}"/>'
        )
        length = max(length, high)
    yield _text(left + length + 5, top + _BAR - 3, f"{row['rate']:,.0f}")


def _cost_bar(rows: Mapping[str, Row], variant: str, left: int, top: int, scale: float) -> Iterator[str]:
    row = rows[variant]
    yield _bar(left, top, row["backend_us"] * scale, _BACKEND)
    yield _bar(left + row["backend_us"] * scale, top, row["envoy_us"] * scale, _ENVOY)
    figures = f"{row['backend_us']:.0f} + {row['envoy_us']:.0f}"
    yield _text(left + _cost(row) * scale + 5, top + _BAR - 3, figures)


def _bar(left: float, top: float, length: float, fill: str) -> str:
    return f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{fill}"/>'


def _text(left: float, base: float, text: str, *, size: int = 12, fill: str = _INK) -> str:
    return f'<text x="{left:.1f}" y="{base}" font-size="{size}" fill="{fill}">{escape(text)}</text>'

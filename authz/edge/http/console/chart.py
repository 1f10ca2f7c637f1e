"""Small bar charts as inline SVG: allowed below, denied above, with their figures as text for those who cannot see them."""

from collections.abc import Sequence
from html import escape

from authz.edge.http.console.activity import DecisionRate

_WIDTH, _HEIGHT = 600.0, 80.0
_GAP = 0.2


def bars(rates: Sequence[DecisionRate], title: str) -> str:
    """Return a chart of decisions a second, the oldest at the left.

    Args:
        rates: one bar each.
        title: what it shows; the most and the last are added.
    """
    most = max((rate.allowed + rate.denied for rate in rates), default=0.0)
    width = _WIDTH / max(len(rates), 1)
    drawn = (
        "".join(_bar(rate, index * width, width, most) for index, rate in enumerate(rates)) if most else ""
    )
    denied = max((rate.denied for rate in rates), default=0.0)
    label = f"{title}: at most {figure(most)} decisions a second, of these at most {figure(denied)} denied"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{drawn}'
        f'<line class="axis" x1="0" x2="{_WIDTH:g}" y1="{_HEIGHT:g}" y2="{_HEIGHT:g}"/></svg>'
        f"<figcaption>{escape(label)}</figcaption></figure>"
    )


def _bar(rate: DecisionRate, left: float, width: float, most: float) -> str:
    allowed, denied = (_HEIGHT * part / most for part in rate)
    inner = width * (1 - _GAP)
    return _rect("allow", left, _HEIGHT - allowed, inner, allowed) + _rect(
        "deny", left, _HEIGHT - allowed - denied, inner, denied
    )


def _rect(name: str, left: float, top: float, width: float, height: float) -> str:
    if not height:
        return ""
    size = f'width="{width:.1f}" height="{max(height, 1):.1f}"'
    return f'<rect class="{name}" x="{left:.1f}" y="{top:.1f}" {size}/>'


def figure(rate: float) -> str:
    """Format decisions a second: more digits where there are few."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"

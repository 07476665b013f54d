"""A line plot as SVG: no plotting library, readable in light and dark, with a label at the end of every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 34, 46
COLOURS = ("#6366f1", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#64748b")
_GAP = 15  # pixels between two labels


def lines(series: Mapping[str, Sequence[float]], *, title: str, x: str, y: str) -> str:
    """Lines over 0, 1, 2, ...

    Args:
        series: name -> values, all of one length, at least one.
        title: above the plot.
        x: what is counted along the bottom.
        y: what the values are.
    """
    longest = max(len(values) for values in series.values())
    low, high = _bounds([value for values in series.values() for value in values])

    def across(step: float) -> float:
        return LEFT + step * (WIDTH - LEFT - RIGHT) / max(1, longest - 1)

    def up(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) * (HEIGHT - TOP - BOTTOM) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#64748b">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>',
    ]
    for mark in range(5):
        value = low + mark * (high - low) / 4
        parts.append(
            f'<path d="M{LEFT} {up(value):.1f}H{WIDTH - RIGHT}" stroke="#94a3b8" stroke-opacity=".35"/>'
            f'<text x="{LEFT - 6}" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    parts += [
        f'<text x="{across(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>'
        for step in range(longest)
    ]
    ends = _apart({name: up(values[-1]) for name, values in series.items()})
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{across(step):.1f},{up(value):.1f}" for step, value in enumerate(values))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
            f'<text x="{across(len(values) - 1) + 8:.1f}" y="{ends[name] + 4:.1f}" fill="{colour}" '
            f'font-weight="600">{escape(name)}</text>'
        )
    return "".join([*parts, "</svg>\n"])


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    """Round numbers below and above all values."""
    low, high = min(values), max(values)
    step = 20.0 if high - low > 20 else 4.0
    low = step * (low // step)
    return low, max(low + step, step * -(-high // step))


def _apart(places: Mapping[str, float]) -> dict[str, float]:
    """The places of labels, moved down where two would lie on each other."""
    moved: dict[str, float] = {}
    last = float("-inf")
    for name, place in sorted(places.items(), key=lambda pair: pair[1]):
        last = moved[name] = max(place, last + _GAP)
    return moved

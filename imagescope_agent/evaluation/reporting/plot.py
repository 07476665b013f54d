"""A line plot as SVG: no plotting library, readable in light and dark, with a label at the end of every line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 34, 46
COLOURS = ("#6366f1", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#64748b")
_GAP = 15  # pixels between two labels


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where values lie in the picture: steps 0 to `steps` from left to right, `low` to `high` from below."""

    steps: int
    low: float
    high: float

    def across(self, step: float) -> float:
        """Pixels from the left."""
        return LEFT + step * (WIDTH - LEFT - RIGHT) / max(1, self.steps)

    def up(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (value - self.low) * (HEIGHT - TOP - BOTTOM) / (self.high - self.low)


def lines(series: Mapping[str, Sequence[float]], *, title: str, x: str, y: str) -> str:
    """Lines over 0, 1, 2, ...

    Args:
        series: name -> values, all of one length, at least one.
        title: above the plot.
        x: what is counted along the bottom.
        y: what the values are.
    """
    low, high = _bounds([value for values in series.values() for value in values])
    scale = Scale(steps=max(len(values) for values in series.values()) - 1, low=low, high=high)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#64748b">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y)}</text>',
        *_grid(scale),
    ]
    ends = _apart({name: scale.up(values[-1]) for name, values in series.items()})
    for number, (name, values) in enumerate(series.items()):
        parts.append(_line(scale, name, values, COLOURS[number % len(COLOURS)], ends[name]))
    return "".join([*parts, "</svg>\n"])


def _grid(scale: Scale) -> list[str]:
    """Five lines across with their values, and the steps below."""
    values = [scale.low + mark * (scale.high - scale.low) / 4 for mark in range(5)]
    marks = [
        f'<path d="M{LEFT} {scale.up(value):.1f}H{WIDTH - RIGHT}" stroke="#94a3b8" stroke-opacity=".35"/>'
        f'<text x="{LEFT - 6}" y="{scale.up(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        for value in values
    ]
    steps = [
        f'<text x="{scale.across(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>'
        for step in range(scale.steps + 1)
    ]
    return marks + steps


def _line(scale: Scale, name: str, values: Sequence[float], colour: str, end: float) -> str:
    """A line, and its name at the height `end`."""
    points = " ".join(f"{scale.across(step):.1f},{scale.up(value):.1f}" for step, value in enumerate(values))
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
        f'<text x="{scale.across(len(values) - 1) + 8:.1f}" y="{end + 4:.1f}" fill="{colour}" '
        f'font-weight="600">{escape(name)}</text>'
    )


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

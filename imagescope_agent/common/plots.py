"""Line and scatter plots as SVG without a plotting library; every series is named beside its marks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 720, 400  # pixels of a panel
LEFT, RIGHT, TOP, BOTTOM = 56, 110, 34, 46  # its margins
COLOURS = ("#6366f1", "#d97706", "#059669", "#dc2626", "#7c3aed", "#0891b2", "#64748b")
MARKED, UNMARKED = "#d1495b", "#8d99ae"
LABEL_HEIGHT, LETTER_WIDTH = 15, 6.5  # pixels


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The two axes of a panel, from data to pixels: `x` and `y` are (low, high)."""

    x: Point
    y: Point
    log_x: bool = False

    def across(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x
        if self.log_x:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return LEFT + (value - low) * (WIDTH - LEFT - RIGHT) / ((high - low) or 1)

    def up(self, value: float) -> float:
        """Pixels from the top."""
        low, high = self.y
        return HEIGHT - BOTTOM - (value - low) * (HEIGHT - TOP - BOTTOM) / (high - low)


def line_plot(
    panels: Mapping[str, Mapping[str, Sequence[Point]]],
    *,
    x_label: str,
    y_label: str,
    y_range: Point | None = None,
) -> str:
    """Panels below one another, a line for each series.

    Args:
        panels: title -> {series: its points (x, y) by rising x}; at least one point in a panel.
        x_label: below each panel.
        y_label: left of each panel.
        y_range: the ends of the vertical axis; round numbers around the values when None.
    """
    parts = []
    for number, (title, series) in enumerate(panels.items()):
        points = [point for each in series.values() for point in each]
        xs = [x for x, _ in points]
        axes = Axes(x=(min(xs), max(xs)), y=y_range or _bounds([y for _, y in points]))
        labels = _apart({name: axes.up(each[-1][1]) for name, each in series.items() if each})
        parts += [f'<g transform="translate(0 {number * HEIGHT})">', *_frame(axes, title, x_label, y_label)]
        for place, (name, height) in enumerate(labels.items()):
            parts += _line(axes, name, series[name], COLOURS[place % len(COLOURS)], height)
        parts.append("</g>")
    return _svg(parts, WIDTH, HEIGHT * len(panels))


def scatter_plot(
    panels: Mapping[str, Mapping[str, Point]],
    marked: Mapping[str, Collection[str]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """Panels beside one another, a named dot for each point, x on a logarithmic axis.

    Args:
        panels: title -> {name: (x, y)}, x > 0; at least one point in a panel.
        marked: title -> names of the points that are coloured and joined by a line, by rising x.
        x_label: below each panel.
        y_label: left of each panel.
    """
    parts = []
    for number, (title, points) in enumerate(panels.items()):
        xs = [x for x, _ in points.values()]
        axes = Axes(x=(min(xs) / 1.2, max(xs) * 1.2), y=_bounds([y for _, y in points.values()]), log_x=True)
        joined = " ".join(_pixels(axes, points[name]) for name in marked[title])
        parts += [
            f'<g transform="translate({number * WIDTH} 0)">',
            *_frame(axes, title, x_label, y_label),
            f'<polyline points="{joined}" fill="none" stroke="{MARKED}" stroke-width="1.5"/>',
            *_dots(axes, points, marked[title]),
            "</g>",
        ]
    return _svg(parts, WIDTH * len(panels), HEIGHT)


def _svg(parts: Sequence[str], width: int, height: int) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#64748b">'
    )
    return "".join([head, *parts, "</svg>\n"])


def _frame(axes: Axes, title: str, x_label: str, y_label: str) -> list[str]:
    """Title, labels, and a grid line for each value of the vertical axis."""
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts = [
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    for value in _ticks(*axes.y, most=6):
        height = axes.up(value)
        parts.append(
            f'<path d="M{LEFT} {height:.1f}H{WIDTH - RIGHT}" stroke="#94a3b8" stroke-opacity=".35"/>'
            f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for value in _decades(*axes.x) if axes.log_x else _ticks(*axes.x, most=11):
        place = f'x="{axes.across(value):.1f}" y="{HEIGHT - BOTTOM + 18}"'
        parts.append(f'<text {place} text-anchor="middle">{value:g}</text>')
    return parts


def _line(axes: Axes, name: str, points: Sequence[Point], colour: str, height: float) -> list[str]:
    """A line, and its name behind its end at a height in pixels."""
    joined = " ".join(_pixels(axes, point) for point in points)
    return [
        f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>',
        f'<text x="{axes.across(points[-1][0]) + 8:.1f}" y="{height + 4:.1f}" fill="{colour}" '
        f'font-weight="600">{escape(name)}</text>',
    ]


def _dots(axes: Axes, points: Mapping[str, Point], marked: Collection[str]) -> list[str]:
    """The points with their names, from above; a name that would lie on another one goes below it."""
    parts = []
    written: list[tuple[float, float, float]] = []  # left, right, height
    for name, (x, y) in sorted(points.items(), key=lambda pair: -pair[1][1]):
        left = axes.across(x) + 8
        right, height = left + LETTER_WIDTH * len(name), axes.up(y)
        for other_left, other_right, other in sorted(written, key=lambda label: label[2]):
            if left < other_right and other_left < right and abs(height - other) < LABEL_HEIGHT:
                height = other + LABEL_HEIGHT
        written.append((left, right, height))
        colour = MARKED if name in marked else UNMARKED
        parts.append(
            f'<circle cx="{axes.across(x):.1f}" cy="{axes.up(y):.1f}" r="4" fill="{colour}"/>'
            f'<text x="{left:.1f}" y="{height + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        )
    return parts


def _pixels(axes: Axes, point: Point) -> str:
    return f"{axes.across(point[0]):.1f},{axes.up(point[1]):.1f}"


def _step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that divides a span into fewer than `most` parts."""
    least = (span or 1.0) / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _bounds(values: Sequence[float]) -> Point:
    """Round numbers below and above all values."""
    step = _step(max(values) - min(values), 6)
    low = step * math.floor(min(values) / step)
    return low, max(low + step, step * math.ceil(max(values) / step))


def _ticks(low: float, high: float, *, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most so many."""
    step = _step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 9) for number in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from `low` to `high`; only the powers where these are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if len(powers) < 4 else (1,)
    return [
        factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high
    ]


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """Heights of labels in the order given, moved down where two would lie on each other."""
    moved: dict[str, float] = {}
    last = float("-inf")
    for name, height in sorted(heights.items(), key=lambda pair: pair[1]):
        last = moved[name] = max(height, last + LABEL_HEIGHT)
    return {name: moved[name] for name in heights}

"""What accuracy costs: which strategies nothing cheaper matches, and a picture of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.errors import MissingExtra

Points = Mapping[str, tuple[float, float]]


def frontier(points: Points) -> list[str]:
    """The names, from cheap to dear, than which nothing as cheap is better: {name: (cost, quality)}."""
    best: list[str] = []
    for name in sorted(points, key=lambda each: (points[each][0], -points[each][1], each)):
        if not best or points[name][1] > points[best[-1]][1]:
            best.append(name)
    return best


def plot(panels: Mapping[str, Points], path: Path, *, cost: str, quality: str) -> None:
    """Draw each panel's points, cost on a logarithmic axis, with their frontier; the frontier is named.

    Args:
        panels: title -> {name: (cost, quality)}; points that cost nothing are left out.
        path: a PNG or SVG file.
        cost: what the horizontal axis counts.
        quality: what the vertical axis measures.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("plots need matplotlib: pip install 'imagescope-agent[train]'") from error
    figure = Figure(figsize=(5.6 * len(panels), 4.8), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, points) in zip(axes, panels.items(), strict=True):
        _panel(axis, {name: point for name, point in points.items() if point[0] > 0})
        axis.set(title=title, xlabel=cost, ylabel=quality, xscale="log")
    figure.savefig(path, dpi=110)


def _panel(axis: Any, points: Points) -> None:
    best = frontier(points)
    axis.grid(alpha=0.25)
    axis.plot([points[name][0] for name in best], [points[name][1] for name in best], "-", color="#d1495b")
    for name, (cost, quality) in points.items():
        axis.plot(cost, quality, "o", color="#d1495b" if name in best else "#8d99ae", markersize=5)
    low, high = min(quality for _, quality in points.values()), max(q for _, q in points.values())
    placed: list[tuple[float, float]] = []
    for name, (cost, quality) in sorted(points.items(), key=lambda pair: -pair[1][1]):
        # names of neighbours would lie on each other: each goes below the ones already written
        height = quality
        for other, taken in placed:
            if 0.3 < cost / other < 3.3 and abs(height - taken) < (high - low) / 28:
                height = taken - (high - low) / 28
        placed.append((cost, height))
        axis.annotate(
            name,
            (cost, quality),
            xytext=(cost * 1.08, height),
            fontsize=7,
            va="center",
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
            color="#d1495b" if name in best else "#5c677d",
        )
    axis.margins(x=0.25)

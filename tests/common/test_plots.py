"""Plots are well-formed SVG that holds every mark and every name."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from imagescope_agent.common.plots import HEIGHT, WIDTH, line_plot, scatter_plot

SVG = "{http://www.w3.org/2000/svg}"


def texts(root: ElementTree.Element) -> list[str | None]:
    return [element.text for element in root.iter(f"{SVG}text")]


def test_a_line_plot_holds_every_name_once_and_escaped() -> None:
    series = {"a<b": [(0, 1.0), (1, 2.0)], "c": [(0, 2.0), (1, 2.0)]}
    root = ElementTree.fromstring(line_plot({"t & u": series}, x_label="x", y_label="y"))
    assert texts(root).count("a<b") == 1 and texts(root).count("c") == 1 and "t & u" in texts(root)
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


def test_lines_lie_in_their_panel_and_names_do_not_lie_on_each_other() -> None:
    series = {
        name: [(step, value) for step in range(11)] for name, value in {"a": 50, "b": 50, "c": 51}.items()
    }
    root = ElementTree.fromstring(line_plot({"one": series, "two": series}, x_label="x", y_label="y"))
    assert root.get("viewBox") == f"0 0 {WIDTH} {2 * HEIGHT}"
    for line in root.iter(f"{SVG}polyline"):
        for point in str(line.get("points")).split():
            x, y = map(float, point.split(","))
            assert 0 < x < WIDTH and 0 < y < HEIGHT
    heights = sorted(float(e.get("y", 0)) for e in next(iter(root)).iter(f"{SVG}text") if e.text in series)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14.9
    assert [text for text in texts(root) if text == "10"] == ["10", "10"], "the rounds are numbered"


@pytest.mark.parametrize("values", [(5.0, 5.0), (0.0, 0.0), (0.001, 0.0012), (0, 1e6), (-3, 4)])
def test_any_values_have_an_axis_around_them(values: tuple[float, float]) -> None:
    root = ElementTree.fromstring(line_plot({"t": {"a": list(enumerate(values))}}, x_label="", y_label=""))
    (line,) = root.iter(f"{SVG}polyline")
    assert all(0 < float(point.split(",")[1]) < HEIGHT for point in str(line.get("points")).split())
    assert 2 <= len(list(root.iter(f"{SVG}path"))) <= 7


def test_a_scatter_plot_colours_and_joins_the_marked_points() -> None:
    panels = {"one": {"a": (1.0, 0.5), "b": (10.0, 0.9), "c": (10.1, 0.9)}, "two": {"a": (3.0, 0.2)}}
    marked = {"one": ["a", "b"], "two": ["a"]}
    root = ElementTree.fromstring(scatter_plot(panels, marked, x_label="calls", y_label="right"))
    assert [len(str(line.get("points")).split()) for line in root.iter(f"{SVG}polyline")] == [2, 1]
    assert len(list(root.iter(f"{SVG}circle"))) == 4 and texts(root).count("calls") == 2
    places = {e.text: float(e.get("y", 0)) for e in next(iter(root)).iter(f"{SVG}text")}
    assert abs(places["b"] - places["c"]) >= 14.9

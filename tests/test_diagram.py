"""The pictures of the graphs are those of today's graphs, and say what leads where."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from imagescope_agent.cli import main
from imagescope_agent.diagram import layout_of, render_all, render_svg
from imagescope_agent.registry import graphs

FOLDER = Path(__file__).parents[1] / "docs" / "graphs"


class State(TypedDict):
    query: str


def looping() -> Any:
    graph = StateGraph(State)
    for name in ("look", "judge", "think", "again"):
        graph.add_node(name, lambda state: state)
    graph.add_edge(START, "look")
    graph.add_conditional_edges("look", lambda state: "judge", ["think", "judge"])
    graph.add_edge("think", "again")
    graph.add_edge("again", "look")
    graph.add_edge("judge", END)
    return graph.compile().get_graph()


@pytest.mark.parametrize("name", sorted(render_all()))
def test_it_is_up_to_date(name: str) -> None:
    file = FOLDER / name
    drawn = file.read_text(encoding="utf-8") if file.is_file() else ""
    assert drawn == render_all()[name], "run `imagescope graphs --draw docs/graphs` and commit what it writes"


def test_no_picture_is_left_of_a_graph_that_is_gone() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(render_all())


@pytest.mark.parametrize("name", sorted(graphs()))
def test_every_node_is_shown(name: str) -> None:
    from imagescope_agent.diagram import compiled_graph

    drawn = compiled_graph(name).get_graph()
    root = ElementTree.fromstring(render_svg(name, drawn))
    words = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(words) == sorted(set(drawn.nodes) - {"__start__", "__end__"})  # type: ignore[type-var]
    arrows = [each for each in root.iter("{http://www.w3.org/2000/svg}path") if each.get("marker-end")]
    assert len(arrows) == len(drawn.edges)


def test_a_loop_stands_beside_what_it_leads_back_to() -> None:
    layout = layout_of(looping())
    assert list(layout.nodes) == ["__start__", "look", "think", "again", "judge", "__end__"]
    heights = {(source, target): height for source, target, _, height in layout.arrows}
    assert heights["look", "think"] == 0
    assert heights["look", "judge"] > 0 > heights["again", "look"]
    assert {(s, t) for s, t, conditional, _ in layout.arrows if conditional} == {
        ("look", "think"),
        ("look", "judge"),
    }


def test_a_single_step_back_is_drawn_below_like_longer_ones() -> None:
    graph = StateGraph(State)
    for name in ("look", "judge"):
        graph.add_node(name, lambda state: state)
    graph.add_edge(START, "look")
    graph.add_edge("look", "judge")
    graph.add_conditional_edges("judge", lambda state: END, ["look", END])
    heights = {
        (source, target): height
        for source, target, _, height in layout_of(graph.compile().get_graph()).arrows
    }
    assert heights["look", "judge"] == heights["judge", "__end__"] == 0 > heights["judge", "look"]


def test_the_command_draws(tmp_path: Path, capsys: Any) -> None:
    assert main(["graphs", "--draw", str(tmp_path / "new")]) == 0
    assert str(tmp_path / "new" / "imagescope.svg") in capsys.readouterr().out
    assert "](imagescope.svg)" in (tmp_path / "new" / "README.md").read_text()

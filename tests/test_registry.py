"""Names: tables, strangers' modules, graphs by entry point; a misspelt one suggests the right one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.judges import JUDGES
from imagescope_agent.mllms import MLLMS
from imagescope_agent.registry import graphs, load_graph, resolve


@pytest.mark.parametrize("name", ["imagescope", "retrieve"])
def test_graphs_are_found_by_name(name: str) -> None:
    assert load_graph(name).__name__ == "build"
    assert load_graph(graphs()[name]) is load_graph(name)


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_every_judge_of_the_table_is_there_and_says_what_it_does(name: str) -> None:
    assert resolve(name, JUDGES).__doc__


def test_a_strangers_module_needs_no_line_of_ours(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "stranger.py").write_text("class Box:\n    thing = 5\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert resolve("stranger:Box.thing", {}) == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pairwize", "there is no judge 'pairwize'; did you mean 'pairwise'"),
        ("no.such.module:judge", "No module named"),
        ("imagescope_agent.judges:absent", "absent"),
        (":judge", "give 'module:attribute'"),
        ("imagescope_agent.judges:", "give 'module:attribute'"),
    ],
)
def test_an_unknown_name_is_told(name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resolve(name, JUDGES, kind="judge")


def test_an_unknown_graph_is_told() -> None:
    with pytest.raises(BadInput, match="did you mean 'imagescope'"):
        load_graph("imagescop")


def test_suggestions_fall_back_to_what_there_is() -> None:
    assert suggest("zzz", MLLMS) == "there is 'absent', 'endpoint', 'scripted', 'transformers'"
    assert suggest("zzz", []) == "there is none"
    assert suggest("x", map(str, range(12))).endswith("and 2 more")

"""Names: tables, strangers' modules, graphs by entry point; a misspelt one suggests the right one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.judges import JUDGES
from imagescope_agent.mllms import MLLMS
from imagescope_agent.registry import graphs, load_graph, resolve, resolve_opener


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


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which a command cannot import from."""
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place not in ("", os.getcwd())])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_of_the_current_folder_is_found_with_what_it_imports(own_folder: Path) -> None:
    (own_folder / "my_models").mkdir()
    (own_folder / "my_models" / "__init__.py").write_text("from my_words import WORD\n")
    (own_folder / "my_words.py").write_text("WORD = 5\n")
    (own_folder / "my_embedder.py").write_text("def opener(place):\n    return place\n")
    assert resolve("my_models:WORD", {}) == 5
    opener, place = resolve_opener("my_embedder:opener:here", {}, kind="embedder")
    assert opener(place) == "here"


def test_nothing_in_the_current_folder_hides_a_package_or_is_imported_unnamed(own_folder: Path) -> None:
    (own_folder / "json.py").write_text("raise SystemExit('the wrong one')\n")
    (own_folder / "not_installed.py").write_text("raise SystemExit('unasked')\n")
    before = list(sys.path)
    assert resolve("json:loads", {})("5") == 5
    assert resolve("pairwise", JUDGES).__doc__
    assert sys.path == before and "not_installed" not in sys.modules


def test_a_current_folder_that_is_gone_is_no_traceback(own_folder: Path) -> None:
    own_folder.rmdir()
    with pytest.raises(BadInput, match="No module named"):
        resolve("no_such_module:judge", {})


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
    assert (
        suggest("zzz", MLLMS)
        == "there is 'absent', 'cir_cot', 'endpoint', 'photo_chat', 'scripted', 'transformers'"
    )
    assert suggest("zzz", []) == "there is none"
    assert suggest("x", map(str, range(12))).endswith("and 2 more")

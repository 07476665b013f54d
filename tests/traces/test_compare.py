"""What moved between two runs, and why, where the reason is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imagescope_agent.cli import main
from imagescope_agent.traces.compare import Comparison
from tests.traces import runs


def compare(folder: Path, one: dict[str, Any], other: dict[str, Any]) -> Comparison:
    return Comparison(
        runs.write(folder / "t", thread="one", **one), runs.write(folder / "t", thread="two", **other)
    )


def test_equal_runs_have_nothing_to_tell(tmp_path: Path) -> None:
    same = compare(tmp_path, {"verdicts": {"a": 0.9}}, {"verdicts": {"a": 0.9}})
    assert same.differences == []
    assert {move.gain for move in same.moves} == {0}
    assert not any(move.reasons for move in same.moves)


def test_retrieval_moves(tmp_path: Path) -> None:
    moved = compare(tmp_path, {}, {"query": "another", "retrieved": {"a": 0.5, "b": 0.8, "d": 0.9}})
    assert moved.differences == [("query", "a blue square", "another")]
    assert moved.move("a").reasons == ("Retrieval put it at rank 3 instead of 1.",)
    assert (moved.move("d").before, moved.move("d").after) == (None, 1)
    assert moved.move("d").reasons == ("Retrieval found it only in the second run.",)
    assert moved.moves[-1].id == "c"  # what left the ranking comes last


def test_a_verdict_that_flipped_moves_and_others_are_only_passed(tmp_path: Path) -> None:
    moved = compare(
        tmp_path,
        {"verdicts": {"a": 0.9, "b": 0.8, "c": 0.2}},
        {"verdicts": {"a": 0.1, "b": 0.8, "c": 0.2}},
    )
    assert moved.move("a").reasons == (
        "0 of 1 predicates hold instead of 1 of 1: “Is it blue?” has P(Yes) 0.10 instead of 0.90.",
    )
    assert moved.move("b").reasons == ("Nothing about it changed; others moved past it.",)
    assert moved.move("c").reasons == ()


def test_a_judge_moves(tmp_path: Path) -> None:
    checked = {"verdicts": {"a": 0.9, "b": 0.8}}
    moved = compare(
        tmp_path,
        {**checked, "judged": ["a", "b"]},
        {**checked, "judged": ["b", "a"], "reasons": {"b": ["Yes: bluer"]}},
    )
    assert moved.move("b").reasons == ("The judge put it at place 1 instead of 2: Yes: bluer.",)
    assert moved.move("b").gain == 1


def test_the_command_compares(tmp_path: Path, capsys: Any) -> None:
    compare(tmp_path, {"verdicts": {"a": 0.9}}, {"verdicts": {"b": 0.9}})
    given = ["trace", "two", "--compare", "one", "--store", str(tmp_path / "t")]
    assert main([*given, "--html", str(tmp_path / "two.html")]) == 0
    told = capsys.readouterr().out
    assert "b: 2 -> 1. It was verified only in the second run, where 1 of 1 predicates hold." in told
    assert "Why they moved" in (tmp_path / "two.html").read_text(encoding="utf-8")
    assert main([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["moves"][0]["id"] == "b"
    assert main([*given, "--why", "a", "b"]) == 2
    assert main(["trace", "--compare", "one"]) == 2

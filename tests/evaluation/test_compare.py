from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.compare import compare, comparison_table
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.reporting import tables


@pytest.fixture
def two(drawn: Any, images: Any, fast_system: Any, tmp_path: Any) -> Any:
    def run(name: Any, **given: Any) -> Any:
        evaluate(
            "scenes", root=drawn, out=tmp_path / name, system=fast_system(images, **given), progress=False
        )
        return tmp_path / name

    return run


def row(comparison: Any, subset: Any, measure: Any) -> Any:
    return next(r for r in comparison["rows"] if (r["subset"], r["measure"]) == (subset, measure))


def test_a_run_does_not_differ_from_itself(two: Any) -> None:
    comparison = compare([two("a"), two("b")])
    for each in comparison["rows"]:
        assert each["difference"] == 0.0 and each["interval"] == [0.0, 0.0] and each["p"] == 1.0
        assert each["wins"] == each["losses"] == 0 and each["ties"] == each["n"]


def test_a_clear_gain_is_found_with_its_interval_wins_and_losses(two: Any) -> None:
    worse = two("worse", place=lambda query: 3)
    better = two("better", place=lambda query: 3 if query.qid in ("tir-0", "cir-1") else 1)
    comparison = compare([worse, better])
    every = row(comparison, "all", "R@1")
    assert (every["n"], every["wins"], every["losses"], every["ties"]) == (30, 28, 0, 2)
    assert every["difference"] == pytest.approx(100 * 28 / 30)
    low, high = every["interval"]
    assert 75 < low < every["difference"] <= high <= 100
    assert every["p"] < 0.001 and every["p"] <= every["p_holm"] < 0.05
    back = row(compare([better, worse]), "all", "R@1")
    assert back["difference"] == -every["difference"] and back["losses"] == 28
    assert comparison == compare([worse, better])  # the same seed, the same answer


def test_seeds_are_pooled_and_measures_chosen(two: Any, tmp_path: Any) -> None:
    for seed, worst in (("3", ()), ("4", ("tir-0",)), ("5", ())):
        two(f"before/{seed}", place=lambda query: 3)
        two(f"after/{seed}", place=lambda query, worst=worst: 3 if query.qid in worst else 1)
    comparison = compare([tmp_path / "before", tmp_path / "after"], measures=["R@1"])
    assert {each["measure"] for each in comparison["rows"]} == {"R@1"}
    every = row(comparison, "all", "R@1")
    assert (every["n"], every["wins"], every["ties"]) == (90, 89, 1), (
        "the queries of three seeds are different ones"
    )
    with pytest.raises(BadInput, match="name a folder that"):
        compare([tmp_path / "before", tmp_path])
    with pytest.raises(BadInput, match=r"no measure 'r@1'; did you mean 'R@1'"):
        compare([tmp_path / "before", tmp_path / "after"], measures=["r@1"])
    with pytest.raises(BadInput, match="no query in common"):
        compare([tmp_path / "before", tmp_path / "after" / "3"])


def test_failed_queries_are_left_out_on_both_sides_and_counted(two: Any) -> None:
    whole = two("whole")
    broken = two("broken", fails=lambda query: RuntimeError("x") if query.qid == "tir-4" else None)
    comparison = compare([whole, broken])
    assert row(comparison, "all", "R@1")["n"] == 29
    assert list(comparison["failed"].values()) == [0, 1]


def test_bri_is_better_when_lower(drawn: Any, images: Any, fast_system: Any, tmp_path: Any) -> None:
    for name, place in (("late", 8), ("early", 2)):
        system = fast_system(images, place=lambda query, place=place: place)
        evaluate("scenes", root=drawn, out=tmp_path / name, split="chat", system=system, progress=False)
    bri = row(compare([tmp_path / "late", tmp_path / "early"]), "all", "BRI")
    assert bri["difference"] < 0 and bri["wins"] == 3 and bri["n"] == 3


def test_runs_under_different_rules_are_refused(
    two: Any, drawn: Any, images: Any, fast_system: Any, tmp_path: Any
) -> None:
    evaluate(
        "scenes", root=drawn, out=tmp_path / "tir", split="tir", system=fast_system(images), progress=False
    )
    with pytest.raises(BadInput, match="different rules"):
        compare([two("a"), tmp_path / "tir"])
    with pytest.raises(BadInput, match="at least two"):
        compare([two("a")])
    with pytest.raises(BadInput, match=r"run\.json: missing"):
        compare([two("a"), tmp_path / "nothing"])
    with pytest.raises(BadInput, match="no query has the stage 'verify'"):
        compare([two("a"), two("a")], stage="verify")


def test_tables_for_papers(two: Any) -> None:
    comparison = compare([two("a"), two("b_1")])
    assert comparison_table(comparison).startswith("| run | queries | measure |")
    latex = comparison_table(comparison, form="latex")
    assert r"\toprule" in latex and r"b\_1" in latex and "95 \\% interval" in latex
    with pytest.raises(BadInput, match="markdown, latex"):
        comparison_table(comparison, form="word")
    assert tables.markdown_table(["a|b"], [["c"]]) == "| a\\|b |\n| --- |\n| c |\n"

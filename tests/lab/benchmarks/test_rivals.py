"""The graphs side by side: figures over several runs, each counting as often as it has queries; real runs of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.lab.benchmarks import rivals


def _run(queries: int, right: float, **more: Any) -> dict[str, Any]:
    scores = {"R@1": right, **({"NegAbove@10": more["above"]} if "above" in more else {})}
    usage = {"calls": {"reasoner": 2.0, "verifier": float(queries)}, "prompt_tokens": 100.0 * queries}
    wordings = {"wordings": {"by wording": more["rates"]}} if "rates" in more else {}
    metrics = {"final": {"all": scores}}
    return {"queries": queries + 1, "failed": 1, "metrics": metrics, "usage": usage, **wordings}


def test_runs_count_as_often_as_they_have_queries() -> None:
    row = rivals.pooled([_run(1, 100.0, above=0.0), _run(3, 0.0, above=100.0)])
    assert (row["queries"], row["R@1"], row["near miss above"]) == (4, 25.0, 75.0)
    assert (row["calls"], row["prompt_tokens"], row["image_prefills"]) == (4.5, 250.0, 0.0)


def test_the_spread_is_that_of_all_seeds_together() -> None:
    row = rivals.pooled([_run(2, 50.0, rates=[100.0, 0.0]), _run(2, 50.0, rates=[0.0, 100.0])])
    assert row["spread"] == 0.0
    row = rivals.pooled([_run(2, 50.0, rates=[100.0, 50.0]), _run(2, 50.0, rates=[80.0, 50.0])])
    assert row["spread"] == pytest.approx(100 * 40 / 70, abs=0.01)


def test_every_row_is_a_line_of_one_table() -> None:
    rows = [{"graph": "adaptive", "split": "multi", **rivals.pooled([_run(2, 50.0)])}]
    told = rivals.describe({"rows": rows, "images": 40, "seeds": [1, 2]})
    assert "| adaptive | multi | 2 | 50 | 4 | 200 | 0 |  |  |" in told and "seeds 1, 2" in told


def test_every_rival_has_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def measured(place: Path, graph: str, profile: str, *_: Any) -> dict[str, Any]:
        asked.append((graph, profile, place.name))
        return _run(2, 50.0)

    monkeypatch.setattr(rivals, "_measured", measured)
    monkeypatch.setattr(rivals, "make_world", lambda place, *_: None)
    made = rivals.run(root=tmp_path, splits=["multi"], seeds=[1])
    assert [row["graph"] for row in made["rows"]] == list(rivals.GRAPHS)
    assert ("cir_cot", "mini_cot", "seed-1-mini_cot") in asked and ("xr", "mini", "seed-1") in asked
    assert ("mra", "mini_mra", "seed-1-mini_mra") in asked
    rivals.run(root=tmp_path, splits=["multi"], seeds=[1], mra="own/composed.toml")
    assert ("mra", "own/composed.toml", "seed-1-composed") in asked


def test_an_unknown_split_or_graph_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no split 'none' here"):
        rivals.run(root=tmp_path, splits=["none"])
    with pytest.raises(BadInput):
        rivals.run(root=tmp_path, graphs=["nothing"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_finished_runs_are_kept(tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "root": tmp_path,
        "graphs": ["retrieve"],
        "seeds": [3],
        "images": 40,
        "queries": 2,
    }
    first = rivals.run(**chosen)
    assert [row["split"] for row in first["rows"]] == list(rivals.SPLITS)
    assert all(row["R@1"] >= 0 for row in first["rows"]) and "spread" in first["rows"][-1]
    answered = sorted(tmp_path.glob("seed-3/runs/*/per_query.jsonl"))
    before = [path.read_bytes() for path in answered]  # with the seconds that each query took
    assert all(b'"seconds"' in each for each in before)
    assert rivals.run(**chosen)["rows"] == first["rows"]
    assert [path.read_bytes() for path in answered] == before and len(answered) == 4

"""What a search costs over its models, and how searches that arrive together share the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagescope_agent.cli import main
from imagescope_agent.lab.benchmarks import floor
from imagescope_agent.lab.benchmarks.arrivals import Served, fair_seconds, percentile, poisson, slowdowns
from imagescope_agent.lab.scenes.make import make_world


def test_a_fair_share_is_what_all_get_at_once() -> None:
    assert fair_seconds([0, 0, 0], [1, 1, 1], 1) == [3, 3, 3]
    assert fair_seconds([0, 0], [1, 3], 1) == [2, 4]  # the short one is gone when 2 s are over
    assert fair_seconds([0, 0], [1, 3], 2) == [1, 2]
    assert fair_seconds([0, 1], [2, 2], 1) == pytest.approx([3, 3])
    assert fair_seconds([0, 10], [1, 1], 1) == [1, 1]


def test_one_after_another_is_unfair_to_whoever_is_short_and_late() -> None:
    in_turn = Served(arrivals=[0, 0], seconds=[3, 4])
    assert slowdowns(in_turn, [3, 1]) == [3 / 4, 4 / 2]
    together = Served(arrivals=[0, 0], seconds=[4, 2])
    assert slowdowns(together, [3, 1]) == [1, 1]


def test_arrivals_are_independent_and_repeatable() -> None:
    assert poisson(3, 0, 1) == [0, 0, 0]
    times = poisson(4000, 2.0, 5)
    assert times == sorted(times) == poisson(4000, 2.0, 5) != poisson(4000, 2.0, 6)
    assert 1900 < times[-1] < 2100


def test_percentiles_are_values_that_were_seen() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99)] == [50, 95, 99]
    assert percentile([7.0], 0.99) == 7


def test_the_command_prints_the_rows_that_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_world(tmp_path, 3, 12)
    arguments = ["--root", str(tmp_path), "--queries", "2", "--repeats", "1", "--together", "2"]
    assert main(["bench", "floor", *arguments, "--row", "around", "--row", "forwards", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    around, forwards = made["rows"].values()
    assert around["ratio"] > 0 and around["search s"] > 0
    assert forwards["ratio"] > 1 and 0 < forwards["forwards s"] < forwards["search s"]
    assert 0 < forwards["decode steps"] < forwards["tokens written"]


@pytest.mark.slow
def test_every_row_is_measured(tmp_path: Path) -> None:
    make_world(tmp_path, 3, 12)
    made = floor.run(root=tmp_path, queries=2, repeats=1, indexed=8, together=3)
    assert set(made["rows"]) == set(floor.ROWS)
    assert all(row["ratio"] > 0 for row in made["rows"].values())
    assert floor.describe(made).count("\n| ") == 1 + len(floor.ROWS)


def test_searches_arrive_and_are_told_by_percentiles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_world(tmp_path, 3, 12)
    load = ["bench", "load", "--root", str(tmp_path), "--searches", "3", "--graph", "retrieve"]
    assert main([*load, "--rate", "50", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    seconds = made["seconds"]
    assert seconds["p50"] <= seconds["p95"] <= seconds["p99"] <= seconds["max"]
    assert made["searches"] == 3 and made["slowdown"]["p50"] <= made["slowdown"]["max"]
    with pytest.raises(SystemExit):
        main([*load, "--rate", "-1"])

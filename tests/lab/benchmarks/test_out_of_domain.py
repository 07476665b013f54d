"""What the notices of embedded profiles are counted as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.lab.benchmarks.everyday_queries import QUERIES

pytestmark = pytest.mark.slow


def test_sixty_queries_twelve_of_each_sort() -> None:
    assert [len(set(texts)) for texts in QUERIES.values()] == [12] * 5


def test_drawn_scenes_and_everyday_queries_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "out-of-domain", "--drawn", "40", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    outside = {name: kinds["drawn scenes"]["outside"] for name, kinds in found["pictures"].items()}
    assert outside["mini"] <= 0.1 and outside["photos"] >= 0.9
    mini, photos = found["queries"]["mini"], found["queries"]["photos"]
    assert sum(mini[sort]["told"] for sort in QUERIES) >= 55 and mini["drawn"]["told"] == 0
    assert photos["exclusion"]["told"] == 12 and photos["doing"]["told"] <= 4
    assert all(row["asked"] == row["right"] + row["told"] + row["other"] for row in mini.values())

"""What the notices of embedded profiles are counted as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.lab.benchmarks import out_of_domain
from imagescope_agent.lab.benchmarks.everyday_queries import QUERIES

pytestmark = pytest.mark.slow


def test_sixty_queries_twelve_of_each_sort() -> None:
    assert [len(set(texts)) for texts in QUERIES.values()] == [12] * 5


@pytest.mark.parametrize(
    ("query", "full", "steps", "holds"),
    [
        ("a beach without any people", "a beach without any people", [], True),
        ("a beach without any people", "a beach with people", [], False),
        ("a beach without any people", "a beach", [("Removal", "people")], True),
        ("a dog under a table", "a dog on a table", [], False),
        ("three dogs running", "dogs running", [("Comparison", "three dogs")], True),
        ("three dogs running", "two dogs running", [], False),
        ("a man in a yellow raincoat", "a man in a raincoat", [], False),
    ],
)
def test_a_right_intent_holds_what_turns_the_meaning(
    query: str, full: str, steps: list[tuple[str, str]], holds: bool
) -> None:
    intent = {"full": full, "steps": [{"type": kind, "text": text} for kind, text in steps]}
    assert out_of_domain._holds(intent, query) is holds


def test_drawn_scenes_and_everyday_queries_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "out-of-domain", "--drawn", "40", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    outside = {name: kinds["drawn scenes"]["outside"] for name, kinds in found["pictures"].items()}
    assert outside["mini"] <= 0.1 and outside["photos"] >= 0.9
    mini, photos = found["queries"]["mini"], found["queries"]["photos"]
    assert sum(mini[sort]["told"] for sort in QUERIES) >= 55 and mini["drawn"]["told"] == 0
    assert [photos[sort]["told"] for sort in ("exclusion", "number")] == [12, 12]
    assert photos["place"]["told"] >= 11 and photos["doing"]["told"] <= 4
    assert sum(photos[sort]["other"] for sort in QUERIES) == 0
    assert all(row["asked"] == row["right"] + row["told"] + row["other"] for row in mini.values())

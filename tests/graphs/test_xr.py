"""The X^R graph: two imaginations, fused similarities, at most three questions, and their product with similarity."""

from __future__ import annotations

import asyncio
import json
import random
from fractions import Fraction
from typing import Any

import pytest

from imagescope_agent.nodes.intent.imagine import reciprocal_rank_fusion
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings

INTENT = {
    "steps": [{"type": "Addition", "text": f"there is a blue square {number}"} for number in "1234"],
    "core": "a green square",
    "enhanced": "a green square",
    "full": "a green square",
}


def run(services: Any, query: str, reference: str | None = None, **settings: Any) -> Any:
    graph = load_graph("xr")(services)
    return asyncio.run(graph.ainvoke({"query": query, "reference": reference}, context=Settings(**settings)))


def think(asked: Any) -> str:
    if '"steps"' in asked.text:
        return json.dumps(INTENT)
    questions = [{"question": f"Is there a blue square {number}?", "expected": "Yes"} for number in "1234"]
    return json.dumps({"predicates": questions})


def calls(state: Any) -> dict[str, int]:
    return {entry["step"]: entry["calls"] for entry in state["usage"] if entry["calls"]}


def services(world: Any, seen: Any = "a blue square") -> Any:
    return world.services(
        reasoner=world.role("reasoner", think),
        captioner=world.role("captioner", seen),
        verifier=world.role(
            "verifier", scorer=lambda asked: [0.9, 0.1] if world.colour(asked) == "blue" else [0.1, 0.9]
        ),
    )


def test_the_picture_is_shown_to_whoever_imagines_and_three_questions_are_asked(world: Any) -> None:
    made = services(world)
    state = run(made, "make it blue", "red.png", top_k=4)
    (asked,) = made.captioner.model.asked
    assert [world.keys[key] for key in asked.images] == ["red.png"] and "make it blue" in asked.text
    assert state["intent"]["core"] == "a blue square" and state["intent"]["full"] == "a green square"
    assert calls(state) == {"understand": 1, "imagine": 1, "predicates": 1, "verify": 12}
    assert state["ranking"][0] == "blue.png" and "red.png" not in state["ranking"]
    assert sorted(state["ranking"]) == sorted(state["ranking_retrieve"])
    assert [each["question"][-2] for each in state["predicates"]] == list("123")


def test_a_text_query_imagines_nothing_from_a_picture(world: Any) -> None:
    made = services(world)
    state = run(made, "a green square", top_k=3)
    assert made.captioner.model.asked == [] and "imagine" not in calls(state)
    assert state["ranking_retrieve"][0] == "green.png"


@pytest.mark.parametrize("reply", ["", "I cannot help with that."])
def test_a_picture_that_nobody_describes_leaves_the_text_and_a_note(world: Any, reply: str) -> None:
    state = run(services(world, reply), "make it blue", "red.png")
    assert state["intent"]["core"] == "a green square"
    assert [note["kind"] for note in state["notes"] if note["step"] == "imagine"][-1] == "unreadable"


def test_what_has_more_right_answers_may_still_be_too_far_away(world: Any) -> None:
    names = sorted(world.collection.ids)
    state = run(services(world), "a green square", top_k=len(names))
    score = {each["id"]: each["retrieve"] for each in state["candidates"]}
    worth = {name: state["matches"][name] * score[name] for name in names}
    assert state["ranking"] == sorted(state["ranking_retrieve"], key=lambda name: -worth[name])
    assert all(0 < value <= 1 for value in score.values())


def test_reciprocal_ranks_by_hand_and_against_fractions() -> None:
    found = reciprocal_rank_fusion([(0.85, ["a", "b"]), (0.15, ["b", "c"])])
    assert found["a"] == pytest.approx(0.85)
    assert found["b"] == pytest.approx(0.85 * 61 / 62 + 0.15)
    assert found["c"] == pytest.approx(0.15 * 61 / 62)
    assert reciprocal_rank_fusion([]) == {}
    rng = random.Random(3)
    for _ in range(50):
        rankings = [
            (rng.randint(1, 9), rng.sample("abcdefgh", rng.randint(0, 8))) for _ in range(rng.randint(1, 5))
        ]
        for name, score in reciprocal_rank_fusion(rankings).items():
            slow = sum(
                Fraction(weight * 61, 61 + ids.index(name)) for weight, ids in rankings if name in ids
            ) / sum(weight for weight, _ in rankings)
            assert score == pytest.approx(float(slow))

"""The CoTRR graph: one call orders the ten best, a target is described first where there is a reference."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings


def run(services: Any, query: str, reference: str | None = None, **settings: Any) -> Any:
    graph = load_graph("cotrr")(services)
    return asyncio.run(graph.ainvoke({"query": query, "reference": reference}, context=Settings(**settings)))


def chain(*order: int) -> str:
    evaluations = [{"image": number, "grade": "good", "reason": "nearly"} for number in order]
    return json.dumps({"components": ["colour"], "evaluations": evaluations, "order": order, "reasoning": ""})


def calls(state: Any) -> dict[str, int]:
    return {entry["step"]: entry["calls"] for entry in state["usage"] if entry["calls"]}


def test_one_call_reverses_the_best_and_says_why(world: Any) -> None:
    judge = world.role("judge", chain(*range(8, 0, -1)))
    state = run(world.services(judge=judge), "a red square")
    assert state["ranking_retrieve"][0] == "red.png"
    assert state["ranking"] == state["ranking_retrieve"][::-1]
    assert state["results"][0]["reasons"] == ["judge: good match: nearly"]
    assert calls(state) == {"judge": 1}
    assert len(judge.model.asked[0].images) == 1 + 8  # the reference stands first
    assert state["notes"] == []


def test_with_a_reference_the_described_target_is_what_is_searched_for(world: Any) -> None:
    think = world.role("reasoner", "a blue square")
    state = run(world.services(reasoner=think, judge=world.role("judge", chain(1, 2))), "bluer", "red.png")
    assert state["ranking"][0] == "blue.png"
    assert "red.png" not in state["ranking"]
    assert calls(state) == {"target": 1, "judge": 1}
    assert [note["kind"] for note in state["notes"]] == ["repaired"]


def test_unreadable_replies_keep_the_retrieved_order_with_a_note_each(world: Any) -> None:
    state = run(world.services(judge=world.role("judge", "no idea")), "a red square")
    assert state["ranking"] == state["ranking_retrieve"]
    assert [note["kind"] for note in state["notes"]] == ["unreadable"] * 2


def test_without_a_budget_it_is_plain_search(world: Any) -> None:
    state = run(world.services(), "more blue", "red.png", budget=0)
    assert calls(state) == {}
    assert {note["kind"] for note in state["notes"]} == {"budget"}
    assert state["ranking"] == state["ranking_retrieve"]


def test_the_rejected_go_and_their_likes_fall_back(world: Any) -> None:
    from imagescope_agent.nodes.rank import Soften, soften

    candidates: Any = [
        {"id": name, "retrieve": score} for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.75))
    ]
    likeness = {"a": 1.0, "b": 0.9, "c": 0.0}
    assert [each["id"] for each in soften(candidates, ["a"], likeness, weight=0.1)] == ["c", "b"]
    found: Any = [{"id": name, "retrieve": 1.0} for name in world.collection.ids]
    state: Any = {"candidates": found, "rejected": ["red.png"] * 3}
    runtime: Any = type("Running", (), {"context": Settings(k=2)})
    kept = asyncio.run(Soften(world.collection)(state, runtime))
    assert "red.png" not in kept["ranking_retrieve"]
    assert len(kept["ranking_retrieve"]) == round(7 * 0.9**3)

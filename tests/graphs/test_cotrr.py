"""The CoTRR graph: one call orders the ten best, a target is described first where there is a reference."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
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
    """By the model that judges: a reasoner may be taught to read queries alone, and answers with an intent."""
    judge = world.role("judge", lambda asked: chain(1, 2) if asked.images else "a blue square")
    think = world.role("reasoner", '{"steps": [], "core": "", "enhanced": "", "full": ""}')
    state = run(world.services(reasoner=think, judge=judge), "bluer", "red.png")
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
    from imagescope_agent.nodes.judging.penalize_rejected import PenalizeRejected, penalized

    candidates: Any = [
        {"id": name, "retrieve": score} for name, score in (("a", 0.9), ("b", 0.8), ("c", 0.75))
    ]
    similarity = {"a": 1.0, "b": 0.9, "c": 0.0}
    assert [each["id"] for each in penalized(candidates, ["a"], similarity, weight=0.1)] == ["c", "b"]
    found: Any = [{"id": name, "retrieve": 1.0} for name in world.collection.ids]
    state: Any = {"candidates": found, "rejected": ["red.png"] * 3}
    runtime: Any = type("Running", (), {"context": Settings(k=2)})
    kept = asyncio.run(PenalizeRejected(world.collection)(state, runtime))
    assert "red.png" not in kept["ranking_retrieve"]
    assert len(kept["ranking_retrieve"]) == 6  # the same rejection three times is one
    assert kept["notes"] == []


def test_rejections_reach_the_graph_and_its_knobs_hold(world: Any) -> None:
    scope = ImageScope(world.services(judge=world.role("judge", chain(1))), graph="cotrr", runs=False, k=3)
    told = scope.search("a red square", rejected=["red.png", "gone.png"])
    assert "red.png" not in told.rankings["final"]
    assert len(told.rankings["final"]) == round(0.9 * 7)
    assert [(note["step"], note["kind"]) for note in told.notes][:1] == [("soften", "skipped")]
    two = scope.search("a red square", rejected=["red.png", "blue.png"], shrink=0.5)
    assert len(two.rankings["final"]) == 3  # a quarter of six, but never fewer than are wanted
    plain = scope.search("a red square", rejected=["white.png"], penalty=0.0, shrink=1.0)
    assert plain.rankings["retrieve"] == [
        name for name in scope.search("a red square").rankings["retrieve"] if name != "white.png"
    ]
    assert scope.search("a red square", rejected=["orange.png"], penalty=1.0).rankings["retrieve"] != [
        name for name in scope.search("a red square").rankings["retrieve"] if name != "orange.png"
    ]
    with pytest.raises(BadInput, match="takes no rejected"):
        ImageScope(world.services(), runs=False).search("a red square", rejected=["red.png"])
    with pytest.raises(BadInput, match="penalty is 2"):
        scope.search("a red square", penalty=2)


def test_on_a_thread_rejections_last(world: Any) -> None:
    services = world.services(judge=world.role("judge", chain(1)))
    graph = load_graph("cotrr")(services, checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    asyncio.run(graph.ainvoke({"query": "a red square", "rejected": ["red.png"]}, config))
    state = asyncio.run(graph.ainvoke({"query": "a red square"}, config))
    assert "red.png" not in state["ranking"]

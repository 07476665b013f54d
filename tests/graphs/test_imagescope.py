"""The ImageScope graph: it changes what it should, loses nothing and says what went wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from imagescope_agent.registry import load_graph
from tests.graphs.imagescope_runs import ALL, kinds, oracle, question, reasoner, run


def test_an_oracle_sorts_and_a_contrary_verifier_reverses(world: Any) -> None:
    think = world.role("reasoner", reasoner([question("blue")]))
    judge = world.role("judge", "No: not it")
    truth = oracle(world)
    told = run(world.services(reasoner=think, verifier=world.role("verifier", scorer=truth), judge=judge))
    assert told["ranking_retrieve"][0] == "red.png"
    assert told["ranking_verify"][0] == told["ranking"][0] == "blue.png"
    assert told["ranking_verify"][1:] == [name for name in told["ranking_retrieve"] if name != "blue.png"]
    contrary = world.role("verifier", scorer=lambda asked: truth(asked)[::-1])
    lied = run(world.services(reasoner=think, verifier=contrary, judge=judge))
    assert lied["ranking_verify"][-1] == "blue.png"
    assert sorted(told["ranking"]) == sorted(lied["ranking"]) == ALL
    assert told["notes"] == lied["notes"] == []


def test_the_first_yes_moves_to_the_top_and_ends_the_judging(world: Any) -> None:
    judge = world.role("judge", ["No: too red.", "Yes: as wished.", "Yes: never asked"])
    state = run(world.services(reasoner=world.role("reasoner", reasoner([question("red")])), judge=judge))
    before = state["ranking_verify"]
    assert state["ranking"] == [before[1], before[0], *before[2:]]
    assert state["judgement"]["scores"] == {before[0]: 0.0, before[1]: 1.0}
    assert state["results"][0]["reasons"][-1] == "judge: Yes: as wished."
    assert len(judge.model.asked) == 2
    assert all(len(asked.images) == 2 for asked in judge.model.asked)


def test_calls_are_as_the_paper_counts_them(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("red"), question("blue", "No")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "No"),
    )
    state = run(services, top_k=5, k=1)
    calls = {entry["step"]: (entry["role"], entry["calls"]) for entry in state["usage"]}
    assert calls == {
        "understand": ("reasoner", 1),
        "retrieve": ("embedder", 0),
        "predicates": ("reasoner", 1),
        "verify": ("verifier", 10),
        "judge": ("judge", 3),
    }
    assert len(state["ranking"]) == 5
    assert len(state["results"]) == 1


def test_more_results_than_verified_candidates_go_on_in_retrieval_order(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("black")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "No"),
    )
    state = run(services, top_k=3, k=7)
    assert len(state["results"]) == 7
    assert state["ranking"][3:] == state["ranking_retrieve"][3:7]
    assert [hit["scores"]["verify"] is None for hit in state["results"]] == [False] * 3 + [True] * 4


def test_reasons_and_scores_say_why(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("red"), question("blue", "No")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "Yes: it is red"),
    )
    first, second = run(services)["results"][:2]
    assert first["id"] == "red.png"
    assert first["scores"]["verify"] == first["scores"]["judge"] == 1.0
    assert first["reasons"] == [
        "matches: Is it red? expected Yes, P(Yes) = 0.90",
        "matches: Is it blue? expected No, P(No) = 0.80",
        "judge: Yes: it is red",
    ]
    assert second["scores"] == {"retrieve": second["scores"]["retrieve"], "verify": 0.5, "judge": None}
    assert second["reasons"][0] == "fails: Is it red? expected Yes, P(Yes) = 0.20"


def test_a_reference_of_the_collection_is_described_by_its_caption_and_left_out(world: Any) -> None:
    think = world.role("reasoner", reasoner([question("blue")]))
    judge = world.role("judge", "Yes")
    state = run(world.services(reasoner=think, judge=judge), "make it blue", "red.png")
    assert sorted(state["ranking"]) == [name for name in ALL if name != "red.png"]
    assert "a red square" in think.model.asked[0].text
    assert world.keys[judge.model.asked[0].images[0]] == "red.png"


def test_a_reference_from_outside_is_captioned_on_the_fly(world: Any, tmp_path: Any) -> None:
    from PIL import Image

    outside = tmp_path / "outside.png"
    Image.new("RGB", (16, 16), (1, 2, 3)).save(outside)
    captioner = world.role("captioner", "a dark square")
    think = world.role("reasoner", reasoner([question("blue")]))
    services = world.services(captioner=captioner, reasoner=think, judge=world.role("judge", "No"))
    state = run(services, "make it blue", str(outside))
    assert state["reference"] == str(outside)
    assert state["reference_caption"] == "a dark square"
    assert "a dark square" in think.model.asked[0].text
    assert sorted(state["ranking"]) == ALL


def test_a_path_into_the_collection_is_the_image_itself(world: Any) -> None:
    think = world.role("reasoner", reasoner([question("blue")]))
    state = run(world.services(reasoner=think), "make it blue", str(world.folder / "red.png"))
    assert state["reference"] == "red.png"


def test_duplicate_questions_are_asked_once_and_contradictions_noted(world: Any) -> None:
    verifier = world.role("verifier", scorer=oracle(world))
    asked = [question("blue"), {"question": "is it  BLUE?", "expected": "No"}, question("blue")]
    services = world.services(
        reasoner=world.role("reasoner", reasoner(asked)), verifier=verifier, judge=world.role("judge", "No")
    )
    state = run(services, top_k=4, k=4)
    assert state["predicates"] == [question("blue")]
    assert len(verifier.model.asked) == 4
    assert kinds(state) == [("predicates", "contradiction")]


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 7, 11, 100])
def test_a_budget_is_never_exceeded_and_always_gives_a_whole_ranking(world: Any, budget: int) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("red")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "No"),
    )
    state = run(services, budget=budget)
    assert sum(entry["calls"] for entry in state["usage"]) <= budget
    assert sorted(state["ranking"]) == ALL
    assert bool(state["notes"]) == (budget < 13)


@pytest.mark.parametrize("top_k", [0, 1])
def test_no_or_one_candidate_to_verify(world: Any, top_k: int) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("black")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "No"),
    )
    state = run(services, top_k=top_k, alpha=top_k)
    assert state["ranking"] == state["ranking_retrieve"]
    assert sorted(state["ranking"]) == ALL


def test_missing_context_means_default_settings(world: Any) -> None:
    services = world.services(reasoner=world.role("reasoner", reasoner([question("red")])))
    state = asyncio.run(load_graph("imagescope")(services).ainvoke({"query": "a red square"}))
    assert len(state["results"]) == len(ALL)


@pytest.mark.parametrize(
    ("query", "told"), [("a red square and a warm one", True), ("a red square, nothing warm", False)]
)
def test_what_is_excluded_though_no_word_says_so_is_told_and_nothing_is_said_of_its_fit(
    world: Any, query: str, told: bool
) -> None:
    steps = [{"type": "Addition", "text": "red"}, {"type": "Removal", "text": "warm"}]
    reading = json.dumps({"steps": steps, "core": "red", "enhanced": "red", "full": "a red square"})
    checks = json.dumps({"predicates": [{"question": "Is it red?", "expected": "Yes"}]})
    reader = world.role(
        "reasoner", lambda asked: reading if "Intent" in asked.options["response_format"] else checks
    )
    state = run(world.services(reasoner=reader), query)
    doubts = [each["detail"] for each in state["notes"] if each["kind"] == "drifted"]
    assert any("'warm' is excluded" in each for each in doubts) == told

"""Looking further: who is verified next, how little is asked of them, and when it stops."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from imagescope_agent.nodes.chat.deepen_retrieval import (
    RetrieveLiked,
    VerifyDeeper,
    go_further,
    hardest_first,
    known_first,
    too_few_fit,
)
from imagescope_agent.settings import Settings
from imagescope_agent.state import Predicate
from tests.chat.talk import look_at

RED: Predicate = {"question": "Is it red?", "expected": "Yes"}
WARM: Predicate = {"question": "Is it warm?", "expected": "Yes"}
LIGHT: Predicate = {"question": "Is it light?", "expected": "No"}


def board(ranking: list[str], predicates: list[Predicate], **given: Any) -> Any:
    return {
        "ranking_retrieve": ranking,
        "ranking_verify": [],
        "predicates": predicates,
        "verdicts": {},
        "matches": {},
        "reflections": 0,
        "turns": [],
        "notes": [],
        "usage": [],
        **given,
    }


def turns(node: VerifyDeeper, state: Any, settings: Settings) -> tuple[Any, list[int]]:
    """The state when the turn stops coming back, and the calls of every time."""
    runtime: Any = SimpleNamespace(context=settings)
    calls: list[int] = []
    while True:
        update = asyncio.run(node(state, runtime))
        calls.append(sum(entry["calls"] for entry in update["usage"]))
        verdicts = {**state["verdicts"]}
        for name, answers in update["verdicts"].items():
            verdicts[name] = {**verdicts.get(name, {}), **answers}
        joined = {key: [*state[key], *update[key]] for key in ("notes", "usage")}
        state = {**state, **update, **joined, "verdicts": verdicts}
        if not too_few_fit(state, settings):
            return state, calls
        state = {**state, **asyncio.run(go_further(state))}


NAMES = [
    "green.png",
    "blue.png",
    "white.png",
    "black.png",
    "yellow.png",
    "red.png",
    "orange.png",
    "purple.png",
]


def test_the_next_images_are_tried_while_too_few_fit_and_what_fits_comes_first(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    state, calls = turns(node, board(NAMES, [WARM, RED, LIGHT]), Settings(top_k=2))
    # Two are asked everything; white and black fail the first question, yellow the second, red fits all three, orange
    # is warm and not red, purple is not warm: one that fits is too few to stop, but there are no more.
    assert state["ranking_verify"][0] == "red.png" and sorted(state["ranking_verify"]) == sorted(NAMES)
    assert calls == [6, 2, 5, 3]
    assert state["matches"]["red.png"] == 3 and "yellow.png" not in state["matches"]


def test_a_later_turn_asks_everything_only_of_as_many_as_are_shown(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    state, calls = turns(node, board(NAMES, [WARM, RED], turns=[{}]), Settings(top_k=3, k=1))
    assert calls == [2, 3, 6] and state["ranking_verify"][0] == "red.png"


def test_nothing_is_asked_twice_and_known_answers_change_no_ranking(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    state, _ = turns(node, board(NAMES, [WARM, RED, LIGHT]), Settings(top_k=2))
    again, calls = turns(
        node, board(NAMES, [WARM, RED, LIGHT], verdicts=state["verdicts"]), Settings(top_k=2)
    )
    assert sum(calls) == 0 and again["ranking_verify"] == state["ranking_verify"]


def test_looking_further_ends_at_the_budget_with_a_note_and_at_the_last_batch(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    state, calls = turns(node, board(NAMES, [WARM, RED]), Settings(top_k=2, budget=5))
    assert sum(calls) <= 5 and [note["kind"] for note in state["notes"]] == ["budget"]
    assert sorted(state["ranking_verify"]) == sorted(NAMES)
    nobody: Predicate = {"question": "Is it red?", "expected": "No"}
    state, calls = turns(node, board(NAMES, [RED, nobody]), Settings(top_k=1, k=1))
    assert len(calls) == len(NAMES) and sorted(state["ranking_verify"]) == sorted(NAMES)


def test_what_an_answer_rules_out_is_asked_no_more(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    cold = {name: {"Is it warm?": 0.0} for name in NAMES[2:5]}
    _, calls = turns(node, board(NAMES, [WARM, RED], verdicts=cold), Settings(top_k=2))
    # White and black are known to fail, yellow too; red fits, orange and purple do not.
    assert calls == [4, 0, 2, 3]


def test_images_that_are_only_to_be_shown_are_not_looked_through(world: Any) -> None:
    node = VerifyDeeper(world.role("verifier", scorer=look_at(world)), world.collection)
    state, calls = turns(node, board(NAMES, [WARM, RED]), Settings(top_k=1, k=8))
    assert len(calls) == 5 and sorted(state["ranking_verify"]) == sorted(NAMES)
    _, calls = turns(node, board(NAMES[:4], [WARM, RED]), Settings(top_k=1, k=8))
    assert len(calls) == 4


def test_every_turn_comes_to_new_images_and_loses_none_that_fits(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagescope_agent.nodes.chat.deepen_retrieval.BATCHES", 1)
    node, grains = RetrieveLiked(world.embedder, world.collection), ("core", "enhanced", "full")
    state: Any = {
        "intent": dict.fromkeys(grains, "a red square"), "reference": None, "liked": [], "rejected": [],
        "facts": [{"type": "Addition", "text": "red", "predicates": [RED]}], "verdicts": {},
    }  # fmt: skip
    whole = [name for name, _ in node.search(state, Settings(top_k=99, k=1))]
    found = [name for name, _ in node.search(state, Settings(top_k=2, k=1))]
    assert found == whole[:2]
    state["verdicts"] = {name: {"Is it red?": 0.0} for name in found}
    assert [name for name, _ in node.search(state, Settings(top_k=2, k=1))] == whole[:4]
    state["verdicts"][whole[-1]] = {"Is it red?": 1.0}
    assert [name for name, _ in node.search(state, Settings(top_k=2, k=1))] == [*whole[:5], whole[-1]]
    state["rejected"] = [whole[-1]]
    assert whole[-1] not in [name for name, _ in node.search(state, Settings(top_k=2, k=1))]


def test_what_fits_deep_in_the_ranking_stays_under_an_exclusion(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagescope_agent.nodes.chat.deepen_retrieval.BATCHES", 1)
    node, grains = RetrieveLiked(world.embedder, world.collection), ("core", "enhanced", "full")
    state: Any = {
        "intent": dict.fromkeys(grains, "a red square"), "reference": None, "liked": [], "rejected": [],
        "facts": [{"type": "Addition", "text": "red", "predicates": [RED]}], "unlike": ["orange.png"],
        "verdicts": {},
    }  # fmt: skip
    deepest = [name for name, _ in node.search(state, Settings(top_k=99, k=1))][-1]
    state["verdicts"] = {deepest: {"Is it red?": 1.0}}
    found = [name for name, _ in node.search(state, Settings(top_k=1, k=1))]
    assert len(found) == 3 and found[-1] == deepest
    state["unlike"] = [deepest]
    assert deepest not in [name for name, _ in node.search(state, Settings(top_k=1, k=1))]


def test_the_hardest_predicate_is_asked_first() -> None:
    verdicts = {"a": {"Is it red?": 0.1, "Is it warm?": 0.9}, "b": {"Is it red?": 0.2, "Is it warm?": 0.8}}
    state = board(["a", "b", "c"], [WARM, RED, LIGHT], verdicts=verdicts)
    assert hardest_first(state, 2) == [RED, LIGHT, WARM]


@pytest.mark.parametrize(
    ("verdicts", "order"),
    [
        ({}, ["a", "b", "c"]),
        ({"b": {"Is it red?": 0.0}, "a": {"Is it warm?": 1.0}}, ["b", "a", "c"]),
        ({"c": {"Is it red?": 1.0}, "a": {"Is it red?": 0.0}}, ["c", "a", "b"]),
    ],
)
def test_what_is_known_comes_first_and_of_that_what_fits(verdicts: Any, order: list[str]) -> None:
    facts = [{"type": "Addition", "text": "it is red", "predicates": [RED]}]
    state: Any = {"facts": facts, "verdicts": verdicts}
    assert known_first(["a", "b", "c"], state) == order
    state["facts"] = []
    assert known_first(["a", "b", "c"], state) == ["a", "b", "c"]

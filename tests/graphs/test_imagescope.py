"""The ImageScope graph: it changes what it should, loses nothing and says what went wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.liveness import SMALL_TALK
from imagescope_agent.registry import load_graph

COLOURS = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"]
ALL = sorted(f"{colour}.png" for colour in COLOURS)


def reasoner(predicates: list[dict[str, str]], text: str = "a red square") -> Callable[[Any], str]:
    """Answers both questions of the reasoner with good JSON."""

    def reply(asked: Any) -> str:
        if asked.options["response_format"] == "IntentAnswer":
            steps = [{"type": "Addition", "text": text}]
            return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})
        return json.dumps({"predicates": predicates})

    return reply


def question(colour: str, expected: str = "Yes") -> dict[str, str]:
    return {"question": f"Is it {colour}?", "expected": expected}


def run(services: Any, query: str = "a red square", reference: str | None = None, **settings: Any) -> Any:
    from imagescope_agent.settings import Settings

    graph = load_graph("imagescope")(services)
    return asyncio.run(graph.ainvoke({"query": query, "reference": reference}, context=Settings(**settings)))


def oracle(world: Any) -> Callable[[Any], list[float]]:
    """Knows the colour of every picture."""
    return lambda asked: [0.9, 0.1] if world.colour(asked) in asked.text else [0.2, 0.8]


def kinds(state: Any) -> list[tuple[str, str]]:
    return [(note["step"], note["kind"]) for note in state["notes"]]


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


def test_a_babbling_verifier_keeps_the_order_and_leaves_a_note_for_each_answer(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("blue"), question("red")])),
        verifier=world.role("verifier", "perhaps"),
        judge=world.role("judge", "No"),
    )
    state = run(services)
    assert state["ranking"] == state["ranking_retrieve"]
    assert kinds(state).count(("verify", "unreadable")) == 2 * len(ALL)


def test_the_first_yes_moves_to_the_top_and_ends_the_judging(world: Any) -> None:
    judge = world.role("judge", ["No: too red.", "Yes: as wished.", "Yes: never asked"])
    state = run(world.services(reasoner=world.role("reasoner", reasoner([question("red")])), judge=judge))
    before = state["ranking_verify"]
    assert state["ranking"] == [before[1], before[0], *before[2:]]
    assert state["judgement"]["scores"] == {before[0]: 0.0, before[1]: 1.0}
    assert state["results"][0]["reasons"][-1] == "judge: Yes: as wished."
    assert len(judge.model.asked) == 2
    assert all(len(asked.images) == 2 for asked in judge.model.asked)


def test_an_unreadable_judge_keeps_the_order_with_a_note_each(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("red")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "hard to say"),
    )
    state = run(services)
    assert state["ranking"] == state["ranking_verify"]
    assert kinds(state) == [("judge", "unreadable")] * 3


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


def test_an_unreadable_reasoner_is_asked_again_and_told_why(world: Any) -> None:
    good = reasoner([question("blue")])
    heard: list[str] = []

    def reply(asked: Any) -> str:
        heard.append(asked.text)
        return "Let me think" if len(heard) == 1 else good(asked)

    verifier = world.role("verifier", scorer=oracle(world))
    state = run(
        world.services(
            reasoner=world.role("reasoner", reply), verifier=verifier, judge=world.role("judge", "No")
        )
    )
    assert state["ranking"][0] == "blue.png"
    assert kinds(state) == [("understand", "retried")]
    assert "there is no JSON object" in heard[1]
    assert sum(entry["calls"] for entry in state["usage"] if entry["role"] == "reasoner") == 3


def test_a_babbling_reasoner_falls_back_to_the_query_with_a_note(world: Any) -> None:
    judge = world.role("judge", "No")
    state = run(world.services(reasoner=world.role("reasoner", "hm"), judge=judge), "a green square")
    assert state["intent"] == {
        "steps": [],
        "core": "a green square",
        "enhanced": "a green square",
        "full": "a green square",
    }
    assert state["ranking"][0] == "green.png"
    assert kinds(state) == [("understand", "retried"), ("understand", "unreadable")]
    assert sum(entry["calls"] for entry in state["usage"] if entry["step"] == "understand") == 2


def test_unreadable_predicates_leave_the_order_of_retrieval(world: Any) -> None:
    def reply(asked: Any) -> str:
        return reasoner([])(asked) if asked.options["response_format"] == "IntentAnswer" else "{}"

    state = run(world.services(reasoner=world.role("reasoner", reply), judge=world.role("judge", "No")))
    assert state["ranking"] == state["ranking_retrieve"]
    assert kinds(state) == [("predicates", "retried"), ("predicates", "unreadable")]


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


def test_a_failing_backend_is_asked_again_and_then_reported(world: Any, monkeypatch: Any) -> None:
    async def at_once(seconds: float) -> None:
        return None

    monkeypatch.setattr("langgraph.pregel._retry.asyncio.sleep", at_once)

    def away(asked: Any) -> str:
        raise BackendUnavailable("no answer; start the server")

    down = world.role("reasoner", away)
    with pytest.raises(BackendUnavailable, match="start the server"):
        run(world.services(reasoner=down))
    assert sum(asked.text != SMALL_TALK for asked in down.model.asked) == 3


@pytest.mark.parametrize("query", ["", "  \n", "x" * 8_001, None, 3])
def test_unusable_queries(world: Any, query: Any) -> None:
    with pytest.raises(BadInput, match="query"):
        run(world.services(), query)


def test_an_unknown_reference_suggests_similar_ids(world: Any) -> None:
    with pytest.raises(BadInput, match=r"did you mean 'red\.png'"):
        run(world.services(), "blue", "rod.png")


def test_an_unknown_judge_is_refused(world: Any) -> None:
    services = world.services(reasoner=world.role("reasoner", reasoner([question("red")])))
    with pytest.raises(BadInput, match="did you mean 'pairwise'"):
        run(services, judge="pairwize")


def test_a_vanished_picture_is_skipped_with_a_note(world: Any) -> None:
    (world.folder / "red.png").unlink()
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("blue")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "No"),
    )
    state = run(services)
    assert state["ranking"][0] == "blue.png"
    assert sorted(state["ranking"]) == ALL
    assert ("verify", "skipped") in kinds(state)

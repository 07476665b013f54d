"""The ImageScope graph where models, pictures or requests fail: it answers with a note or says what went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.liveness import SMALL_TALK
from tests.graphs.imagescope_runs import ALL, kinds, oracle, question, reasoner, run


def test_a_babbling_verifier_keeps_the_order_and_leaves_a_note_for_each_answer(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("blue"), question("red")])),
        verifier=world.role("verifier", "perhaps"),
        judge=world.role("judge", "No"),
    )
    state = run(services)
    assert state["ranking"] == state["ranking_retrieve"]
    assert kinds(state).count(("verify", "unreadable")) == 2 * len(ALL)


def test_an_unreadable_judge_keeps_the_order_with_a_note_each(world: Any) -> None:
    services = world.services(
        reasoner=world.role("reasoner", reasoner([question("red")])),
        verifier=world.role("verifier", scorer=oracle(world)),
        judge=world.role("judge", "hard to say"),
    )
    state = run(services)
    assert state["ranking"] == state["ranking_verify"]
    assert kinds(state) == [("judge", "unreadable")] * 3


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

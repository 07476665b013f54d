"""Conversations: what was said stays, only what is new is asked, and every way back leads where it should."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from imagescope_agent.chat import Chats
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.registry import load_graph
from tests.chat.playing import calls, first, play
from tests.chat.talk import look_at, talking


def test_an_answer_narrows_and_a_correction_replaces_without_losing_the_rest(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn: Any = await session.say("a red square")
        assert first(turn) == "red.png" and turn["question"]["asks"] == "Is it light?"
        assert turn["question"]["text"] == "Tell me: is it light?"
        turn = await session.say("no")
        facts = (await session.state())["facts"]
        assert [fact["text"] for fact in facts] == ["it is red", "it is light"]
        assert facts[1]["type"] == "Removal"
        assert facts[1]["predicates"] == [{"question": "Is it light?", "expected": "No"}]
        turn = await session.say("no, a blue one")
        assert first(turn) == "blue.png" and turn["request"] == "a blue square"
        turn = await session.say("forget that, something yellow")
        assert first(turn) == "yellow.png"
        assert [fact["text"] for fact in (await session.state())["facts"]] == ["it is yellow"]

    play(talking(world), story)


def test_a_later_turn_asks_only_what_is_new_and_ranks_as_if_all_were_asked(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")
        turn = await session.say("it is warm")
        verified = calls(turn).get("verify", 0)
        again = await session.say("skip")
        assert "verify" not in calls(again) and "fold" not in calls(again)
        assert verified <= 8  # one new question, about images that were not surveyed
        afresh = await session.branch(1)
        async with chats.store.turns.database.transaction() as execute:
            key = chats.store.key(afresh.thread)
            await execute("update imagescope_turns set verdicts = null where thread = ?", key)
        repeated = await afresh.say("it is warm")
        assert calls(repeated)["verify"] == 16
        assert [hit["id"] for hit in repeated["results"]] == [hit["id"] for hit in turn["results"]]

    play(talking(world), story)


def test_likes_pull_and_rejections_stay_away(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        shown = [hit["id"] for hit in (await session.say("a red square"))["results"]]
        turn = await session.reject(1)
        assert shown[0] not in [hit["id"] for hit in turn["results"]]
        assert "fold" not in calls(turn)
        turn = await session.say("not that one, a white one")
        state = await session.state()
        assert state["rejected"] == shown[:2] and first(turn) == "white.png"
        last = [hit["id"] for hit in turn["results"]]
        await session.like(2)
        assert (await session.state())["liked"] == [last[1]]

    play(talking(world), story)


def test_a_question_interrupts_and_may_be_ignored(world: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a red square")
        assert (await session.state())["question"]["asks"] == "Is it light?"
        assert await chats.store.saver.aget_tuple(session.config()) is None  # nothing runs between turns
        turn = await session.say("a blue square")
        assert "Is it light?" not in [fact["text"] for fact in (await session.state())["facts"]]
        assert turn["question"] is None or turn["question"]["asks"] != "Is it light?"

    play(talking(world), story)
    quiet = play(talking(world), _one_turn, store=world.folder / "quiet.sqlite", clarify="never")
    assert quiet["question"] is None and "propose" not in calls(quiet)
    random = play(talking(world), _one_turn, store=world.folder / "random.sqlite", clarify="random")
    assert random["question"] is not None


def test_a_graph_server_is_interrupted_and_resumed_with_the_next_message(world: Any) -> None:
    graph = load_graph("chat")(talking(world), checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "served"}}

    async def story() -> None:
        await graph.ainvoke({"query": "a red square"}, config)
        waiting = await graph.aget_state(config)
        assert waiting.next == ("ask",) and waiting.interrupts[0].value["question"]["asks"] == "Is it light?"
        state = await graph.ainvoke(Command(resume="no"), config)
        assert state["turns"] == 2 and state["facts"][1]["type"] == "Removal"
        assert state["turn"]["message"] == "no"

    asyncio.run(story())


async def _one_turn(chats: Chats) -> Any:
    return await (await chats.create()).say("a red square")


@pytest.mark.parametrize(
    ("message", "image", "told"),
    [
        ("", None, "empty"),
        ("  \n", None, "empty"),
        ("a" * 10_000, None, "10000 characters"),
        ("/fly 3", None, "no command '/fly 3'"),
        ("like 99", None, "no rank 99"),
        ("reject 0", None, "no rank 0"),
        ("a \ud800 one", None, "UTF-8"),
        ("like this", "nowhere.png", "no reference image"),
        ("more like it", "broken.png", "as an image"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_and_changes_nothing(
    world: Any, message: str, image: str | None, told: str
) -> None:
    broken = world.folder.parent / "broken.png"
    broken.write_text("no picture")

    async def story(chats: Chats) -> None:
        session = await chats.create()
        with pytest.raises(BadInput):
            await session.say("like 1")
        await session.say("a red square")
        before = await session.state()
        with pytest.raises(BadInput, match=told) as caught:
            await session.say(message, image=broken if image == "broken.png" else image)
        assert "\n" not in str(caught.value)
        assert await session.state() == before

    play(talking(world), story)


def test_a_failing_model_keeps_the_turn_and_opening_finishes_it(world: Any) -> None:
    def down(asked: Any) -> list[float]:
        raise BackendUnavailable("the model is away")

    async def begin(chats: Chats) -> None:
        session = await chats.create("t")
        with pytest.raises(BackendUnavailable):
            await session.say("a red square")
        assert await session.turns() == []

    async def finish(chats: Chats) -> list[Any]:
        session = await chats.open("t")
        return await session.turns()

    play(talking(world, verifier=world.role("verifier", scorer=down)), begin)
    counted = talking(world, verifier=world.role("verifier", scorer=look_at(world)))
    turns = play(counted, finish)
    assert [turn["message"] for turn in turns] == ["a red square"] and first(turns[0]) == "red.png"
    asked = [each.options["response_format"] for each in counted.reasoner.model.asked if each.options]
    assert "IntentAnswer" not in asked  # what was understood before the failure is not asked again

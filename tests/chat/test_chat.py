"""Conversations: what was said stays, only what is new is asked, and every way back leads where it should."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from PIL import Image

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.chat import migrations as schema
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.nodes.chat import parse_message
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval import collection
from imagescope_agent.state import SCHEMA
from tests.chat.talk import look_at, talking, think


def play(services: Any, story: Callable[[Chats], Awaitable[Any]], **options: Any) -> Any:
    async def played() -> Any:
        async with open_chats(services, **options) as chats:
            return await story(chats)

    return asyncio.run(played())


def calls(turn: Any) -> dict[str, int]:
    return {entry["step"]: entry["calls"] for entry in turn["usage"] if entry["calls"]}


def first(turn: Any) -> str:
    return str(turn["results"][0]["id"])


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


def test_words_with_a_picture_say_what_to_change_in_it(world: Any, tmp_path: Path) -> None:
    asked: list[str] = []

    def thinks(question: Any) -> str:
        asked.append(question.text)
        return str(think(question))

    async def story(chats: Chats) -> None:
        mine = tmp_path / "mine.png"
        Image.new("RGB", (40, 40), (0, 0, 250)).save(mine)
        session = await chats.create()
        await session.say("a red square")
        await session.reject(2)
        away = (await session.state())["rejected"]
        asked.clear()
        turn = await session.say("the same, but light", "blue.png")
        (told,) = [text for text in asked if "<instruction>the same, but light</instruction>" in text]
        assert "a blue square" in told, "the picture's caption is what the words refer to"
        state = await session.state()
        assert state["anchor"] == turn["reference"] == "blue.png" and state["rejected"] == away
        assert [fact["text"] for fact in state["facts"]] == ["it is light"], (
            "a red square is no longer looked for"
        )
        assert "blue.png" not in [hit["id"] for hit in turn["results"]]
        await session.say("not warm")
        assert (await session.state())["anchor"] == "blue.png"
        assert (await session.say("one like this", mine))["reference"] == str(mine)
        assert len(await session.undo()) == 4 and (await session.state())["anchor"] == "blue.png"

    play(talking(world, reasoner=world.role("reasoner", thinks)), story)


def test_a_turn_checks_its_message_and_loads_its_reference_once(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = world.folder.parent / "mine.png"
    Image.new("RGB", (40, 30), "red").save(mine)
    counted: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        original = getattr(module, name)

        def counting(*given: Any, **options: Any) -> Any:
            if name != "load" or given[0] == mine:
                counted[name] += 1
            return original(*given, **options)

        monkeypatch.setattr(module, name, counting)

    count(collection, "load")
    count(parse_message, "check_query")
    count(parse_message, "find_reference")

    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("but blue", mine)
        assert counted == {"load": 1, "check_query": 1, "find_reference": 1}
        Image.new("RGB", (40, 30), "green").save(mine)  # another picture under the same name is read anew
        await session.say("and large", mine)
        assert counted == {"load": 2, "check_query": 2, "find_reference": 2}
        state = await session.state()
        assert (state["message"], state["anchor"]) == ("and large", str(mine))
        given = {"query": "  and light ", "reference": str(mine)}  # as a graph server runs it
        served = await chats.store.graph.ainvoke(given, session.config(), context=chats.store.settings)
        assert counted == {"load": 2, "check_query": 3, "find_reference": 3}
        assert served["message"] == "and light"

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


def test_a_conversation_of_the_first_version_goes_on(world: Any) -> None:
    assert schema.migrate({"schema": 1, "pool": []}) == {"schema": 2, "pool": [], "wordings": {}}

    async def story(chats: Chats) -> None:
        session = await chats.create("old")
        await session.say("a red square")
        state = await session.state()
        del state["wordings"]
        await chats.store.turns.replace(chats.store.key("old"), 1, {**state, "schema": 1})
        turn = await (await chats.open("old")).say("a blue square")
        assert first(turn) == "blue.png" and (await session.state())["schema"] == SCHEMA

    play(talking(world), story)


def test_names_profiles_and_schemas_that_do_not_fit_are_told(world: Any, monkeypatch: Any) -> None:
    now = SCHEMA

    async def story(chats: Chats) -> None:
        session = await chats.create("mine")
        await session.say("a red square")
        for name, told in [("mine", "already"), ("../x", "cannot name"), ("a b", "cannot name")]:
            with pytest.raises(BadInput, match=told):
                await chats.create(name)
        with pytest.raises(BadInput, match="no conversation 'other'"):
            await chats.open("other")
        assert [(row["thread"], row["turns"]) for row in await chats.list()] == [("mine", 1)]
        before = await session.state()
        monkeypatch.setattr(schema, "SCHEMA", now + 1)
        with pytest.raises(BadInput, match=f"schema {now}"):
            await chats.open("mine")
        monkeypatch.setitem(schema.MIGRATIONS, now, lambda values: {**values, "liked": ["red.png"]})
        migrated = await (await chats.open("mine")).state()
        assert migrated == {**before, "schema": now + 1, "liked": ["red.png"]}
        monkeypatch.setattr(schema, "SCHEMA", now)
        with pytest.raises(BadInput, match=f"schema {now + 1}"):
            await chats.open("mine")
        await chats.delete("mine")
        assert await chats.list() == []

    play(talking(world), story)


MESSAGES = ["a red square", "yes", "no, a blue one", "like 1", "reject 2", "forget that, white", "skip"]


@pytest.mark.slow
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    history=st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=3),
    at=st.integers(0, 3),
    more=st.sampled_from(MESSAGES),
)
def test_undo_restores_and_branches_are_independent(
    world: Any, tmp_path_factory: Any, history: list[str], at: int, more: str
) -> None:
    place: Path = tmp_path_factory.mktemp("store") / "chats.sqlite"

    async def story(chats: Chats) -> None:
        session = await chats.create()
        states = [await session.state()]
        for message in ["a green square", *history]:
            await session.say(message)
            states.append(await session.state())
        turn = min(at, len(history))
        other = await session.branch(turn + 1)
        assert await other.state() == states[turn + 1]
        await other.say(more)
        assert await session.state() == states[-1]
        assert len(await other.turns()) == turn + 2
        await other.undo()
        assert await other.state() == states[turn + 1]
        for state in states[-2::-1]:
            await session.undo()
            assert await session.state() == state
        assert await other.state() == states[turn + 1]
        await session.say("a green square")
        assert _timeless(await session.state()) == _timeless(states[1])

    play(talking(world), story, store=place)


def _timeless(state: dict[str, Any]) -> Any:
    return json.loads(
        json.dumps(state), object_hook=lambda each: {k: v for k, v in each.items() if k != "seconds"}
    )

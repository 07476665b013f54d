"""Pictures beside words, older conversations, undo and branches."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from imagescope_agent.chat import Chats
from imagescope_agent.chat import migrations as schema
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.chat import parse_message
from imagescope_agent.retrieval import collection
from imagescope_agent.state import SCHEMA
from tests.chat.playing import first, play
from tests.chat.talk import talking, think


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

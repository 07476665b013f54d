"""Conversations with several references and with pictures of what is not wanted."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.chat import Chats
from imagescope_agent.chat.web import html
from imagescope_agent.errors import BadInput
from imagescope_agent.nodes.chat.message_commands import ParsedMessage, unlike_picture
from imagescope_agent.nodes.chat.parse_message import NOT_LIKE, CheckedMessage, standing_pictures
from imagescope_agent.state import new_conversation
from tests.chat.playing import play
from tests.chat.talk import described, talking, think


def thinks(asked: Any) -> str:
    """Reads several references as purple like the second."""
    kind = (asked.options or {}).get("response_format")
    if kind == "ReferencedIntentAnswer":
        steps = [{"type": "Retention", "text": "it is purple", "image": number} for number in (1, 2)]
        return json.dumps({"steps": steps, **described(["purple"])})
    if kind == "ReferencedPredicatesAnswer":
        asks = {"question": "Is it purple as the reference?", "expected": "Yes", "reference": 2}
        return json.dumps({"predicates": [asks]})
    return str(think(asked))


@pytest.fixture
def services(world: Any) -> Any:
    return talking(world, reasoner=world.role("reasoner", thinks))


def test_several_pictures_stand_until_others_come(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn = await session.say("the first as the second, purple", images=["red.png", "blue.png"])
        assert turn.get("references") == ["red.png", "blue.png"] and turn["reference"] == "red.png"
        names = [hit["id"] for hit in turn["results"]]
        assert names[0] == "purple.png" and not {"red.png", "blue.png"} & set(names)
        later = await session.say("not warm")
        assert later.get("references") == ["red.png", "blue.png"]
        state = await session.state()
        assert state["anchors"] == ["red.png", "blue.png"]
        alone = await session.say("as that, but light", "green.png")
        assert "references" not in alone and alone["reference"] == "green.png"
        assert (await session.state())["anchors"] == []
        await session.undo()
        assert (await session.state())["anchors"] == ["red.png", "blue.png"]

    play(services, story)


def test_descriptions_of_several_pictures_stand_as_long_as_they_do(services: Any, tmp_path: Path) -> None:
    store, told = str(tmp_path / "kept.sqlite"), ["a red square", "a blue square"]

    async def story(chats: Chats) -> None:
        session = await chats.create("described")
        await session.say("the first as the second, purple", images=["red.png", "blue.png"])
        await session.say("not warm")
        assert (await session.state())["reference_captions"] == told
        assert session.last["reference_captions"] == told

    async def go_on(chats: Chats) -> None:
        session = await chats.open("described")
        await session.say("not light")
        assert session.last["reference_captions"] == told
        await session.say("as that, but light", "green.png")
        assert session.last["reference_captions"] == []

    play(services, story, store=store)
    play(services, go_on, store=store)


def test_an_older_conversation_describes_its_pictures_anew(world: Any) -> None:
    anchors = {"anchor": "red.png", "anchors": ["red.png", "blue.png"]}
    message = CheckedMessage(
        text="",
        query="",
        reference=None,
        feedback=None,
        parsed=ParsedMessage(words="not warm", liked=[], rejected=[]),
    )
    ways: Any = (
        {**anchors, "reference_caption": "image 1: a; image 2: b"},
        {"anchor": "red.png", "reference_caption": "a"},
    )
    found = [standing_pictures({**new_conversation(), **each}, message, world.collection) for each in ways]  # type: ignore[typeddict-item]
    assert [each["reference_caption"] for each, _ in found] == ["", "a"]


def test_pictures_outlive_the_process_and_the_page_shows_them(services: Any, tmp_path: Path) -> None:
    store = str(tmp_path / "kept.sqlite")

    async def begin(chats: Chats) -> None:
        session = await chats.create("pictures")
        await session.say(
            "the first as the second, purple", images=["red.png", "blue.png"], unlike=["white.png"]
        )

    async def go_on(chats: Chats) -> None:
        session = await chats.open("pictures")
        turn = await session.say("not warm")
        state = await session.state()
        assert state["anchors"] == ["red.png", "blue.png"] and state["excluded"] == ["white.png"]
        assert "white.png" not in [hit["id"] for hit in turn["results"]]
        shown = html.conversation(await session.turns(), lambda name: f"data:{name}")
        assert shown.count("data:red.png") == shown.count("data:blue.png") == 1
        page = html.gallery(turn, lambda name: f"data:{name}")
        assert 'alt="the reference 1"' in page and 'alt="the reference 2"' in page

    play(services, begin, store=store)
    play(services, go_on, store=store)


def test_unlike_keeps_its_power_and_undo_takes_it_back(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a warm square")
        turn = await session.say("a warm square", unlike=["orange.png"])
        assert "orange.png" not in [hit["id"] for hit in turn["results"]]
        again = await session.say("and light")
        assert "orange.png" not in [hit["id"] for hit in again["results"]]
        await session.undo()
        await session.undo()
        assert (await session.state())["excluded"] == []

    play(services, story)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("not like this", ""),
        ("Nothing like these, please!", ""),
        ("I don't want anything like that.", ""),
        ("unlike this one, light", "light"),
        ("anything but this", ""),
        ("like this", None),
        ("a square like this, not red", None),
        ("not red", None),
    ],
)
def test_the_picture_of_a_message_is_what_is_not_wanted_where_its_words_say_so(said: str, words: str) -> None:
    assert unlike_picture(said) == words


def test_a_picture_that_is_not_wanted_is_no_reference(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a warm square")
        turn = await session.say("not like this, light", "orange.png")
        state = await session.state()
        assert turn["reference"] is None and state["excluded"] == ["orange.png"]
        assert "orange.png" not in [hit["id"] for hit in turn["results"]]
        assert "light" in turn["request"] and "like" not in turn["request"]
        again = await session.say("nothing like these", images=["yellow.png", "white.png"])
        assert NOT_LIKE in turn["remarks"] and NOT_LIKE in again["remarks"]
        assert NOT_LIKE not in (await session.say("and round"))["remarks"]
        assert (await session.state())["excluded"] == ["orange.png", "yellow.png", "white.png"]

    play(services, story)


def test_one_picture_may_be_given_as_text(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("a warm square", unlike="orange.png")
        assert (await session.state())["excluded"] == ["orange.png"]

    play(services, story)


def test_a_copy_of_a_standing_reference_that_is_excluded_stays_one_and_is_told(
    services: Any, world: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    shutil.copy(world.folder / "green.png", copy)

    async def story(chats: Chats) -> None:
        session = await chats.create()
        await session.say("as that, but light", "green.png")
        turn = await session.say("not warm", unlike=[str(copy), "white.png"])
        assert sum("stays a reference" in each["detail"] for each in turn["notes"]) == 1
        assert session.last["unlike"] == ["white.png"]
        later = await session.say("and light")
        assert not any("stays a reference" in each["detail"] for each in later["notes"])
        assert session.last["unlike"] == ["white.png"]

    play(services, story)


def test_a_number_without_a_picture_is_told(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        turn = await session.say("the first as image 3, purple", images=["red.png", "blue.png"])
        told = [each["detail"] for each in turn["notes"] if each["kind"] == "unchecked"]
        assert told == ["the query names reference 3, and there are 2"]

    play(services, story)


def test_a_turn_that_was_cut_off_keeps_its_pictures(services: Any, world: Any) -> None:
    from imagescope_agent.errors import BackendUnavailable

    failed: list[bool] = []

    def fails_once(asked: Any) -> Any:
        if asked.options and asked.options.get("response_format") == "ReferencedIntentAnswer" and not failed:
            failed.append(True)
            return BackendUnavailable("the server sleeps")
        return thinks(asked)

    busy = talking(world, reasoner=world.role("reasoner", fails_once))

    async def story(chats: Chats) -> None:
        session = await chats.create()
        try:
            await session.say(
                "the first as the second, purple", images=["red.png", "blue.png"], unlike=["white.png"]
            )
        except BackendUnavailable:
            await session.say("not warm")
        first = (await session.turns())[0]
        assert failed and first.get("references") == ["red.png", "blue.png"]
        assert (await session.state())["excluded"] == ["white.png"]

    play(busy, story)


def test_pictures_that_cannot_be_used_change_nothing(services: Any) -> None:
    async def story(chats: Chats) -> None:
        session = await chats.create()
        with pytest.raises(BadInput, match=r"nobody\.png"):
            await session.say("the first as the second, purple", images=["red.png", "nobody.png"])
        with pytest.raises(BadInput, match="give all references as images"):
            await session.say("as that", "red.png", images=["blue.png"])
        assert await session.turns() == []

    play(services, story)


def test_the_terminal_takes_further_pictures_and_what_is_not_wanted(
    services: Any, world: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imagescope_agent.services.open_services", lambda *args: services)
    said = [
        "/image red.png",
        "/also blue.png",
        "/unlike white.png",
        "the first as the second, purple",
        "/also",
    ]
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in said)))
    code = cli.main(["chat", str(world.folder), "--json"])
    out, err = capsys.readouterr()
    *told, turn = map(json.loads, out.splitlines())
    assert [{name: each[name] for name in each if name != "thread"} for each in told] == [
        {"image": "red.png"},
        {"images": ["red.png", "blue.png"]},
        {"unlike": ["white.png"]},
    ]
    assert turn["references"] == ["red.png", "blue.png"]
    assert not {"red.png", "blue.png", "white.png"} & {hit["id"] for hit in turn["results"]}
    assert code == BadInput.exit_code and "/also needs a picture" in err

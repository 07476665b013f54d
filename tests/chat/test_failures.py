"""Whatever fails in a turn: no turn is lost, doubled, or in the way of the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.chat import Chats, open_chats
from imagescope_agent.errors import (
    BackendUnavailable,
    ImageScopeError,
    Misconfigured,
    RequestRefused,
    UnreadableReply,
)
from tests.chat.talk import look_at, talking, think

FAILURES: dict[str, Callable[[], Exception]] = {
    "refusal": lambda: RequestRefused("the request is too long"),
    "401": lambda: Misconfigured("401: the key is wrong"),
    "404": lambda: Misconfigured("404: there is no such model"),
    "a stranger's": lambda: ZeroDivisionError("division by zero"),
    "unreadable": lambda: UnreadableReply("it is no JSON", reply="well"),
    "away": lambda: BackendUnavailable("connection refused"),
}
STEPS = {  # step -> what the role is asked for, None for any question of it
    "describe": ("captioner", None),
    "understand": ("reasoner", "IntentAnswer"),
    "predicates": ("reasoner", "PredicatesAnswer"),
    "fold": ("reasoner", "FoldAnswer"),
    "propose": ("reasoner", "ProposalAnswer"),
    "ask": ("reasoner", "a wording"),
    "verify": ("verifier", None),
    "judge": ("judge", None),
}


class Sick:
    """Services of which one step fails while `failure` is set."""

    def __init__(self, world: Any, step: str) -> None:
        self.role, self.question = STEPS[step]
        self.failure: Callable[[], Exception] | None = None
        self.services = talking(
            world,
            captioner=world.role("captioner", self._or("captioner", lambda asked: "a green square")),
            reasoner=world.role("reasoner", self._or("reasoner", think)),
            verifier=world.role(
                "verifier",
                self._or("verifier", lambda asked: ""),
                scorer=self._or("verifier", look_at(world)),
            ),
            judge=world.role("judge", self._or("judge", lambda asked: "No: not quite")),
        )

    def _or(self, role: str, well: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(asked: Any) -> Any:
            question = (asked.options or {}).get("response_format", "a wording")
            if self.failure and role == self.role and self.question in (None, question):
                raise self.failure()
            return well(asked)

        return answer


async def say_until_taken(chats: Chats, sick: Sick, failure: str, message: str, image: Any) -> bool:
    """Say a message while the step fails, and again when it does not; whether the turn failed."""
    session = await chats.open("t")
    before = await session.state()
    sick.failure = FAILURES[failure]
    try:
        await session.say(message, image)
        return False
    except ImageScopeError as error:
        assert error.exit_code and str(FAILURES[failure]()).split(";")[0] in str(error)
    finally:
        told, sick.failure = await session.state(), None
    assert {**told, "notes": []} == {**before, "notes": []}
    if failure == "away":
        assert await session.pending() == message and told["notes"] == []
        await chats.open("t")  # finishes it
    else:
        assert await session.pending() is None
        (note,) = told["notes"]
        assert note["kind"] == "given up" and message in note["detail"]
        assert str(FAILURES[failure]()).split(";")[0] in note["detail"]
        turn = await session.say(message, image)
        assert turn["notes"][0] == note and (await session.state())["notes"] == []
    return True


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("step", STEPS)
def test_a_model_that_fails_in_a_step(world: Any, tmp_path: Path, step: str, failure: str) -> None:
    sick, mine = Sick(world, step), tmp_path / "mine.png"
    Image.new("RGB", (40, 30), "green").save(mine)
    failed = []

    async def story() -> None:
        async with open_chats(sick.services) as chats:
            await chats.create("t")
            for said, image in (("a warm square", mine), ("it is red", None)):
                failed.append(await say_until_taken(chats, sick, failure, said, image))
        async with open_chats(talking(world)) as chats:
            session = await chats.open("t")
            assert [turn["message"] for turn in await session.turns()] == ["a warm square", "it is red"]
            assert len(await session.undo()) == 1

    asyncio.run(story())
    if failure in (
        "401",
        "404",
        "away",
    ):  # what else a model raises costs one answer, while it answers others
        assert any(failed)


def test_nothing_but_a_turn_needs_a_model(world: Any, store: str) -> None:
    def away(asked: Any) -> Any:
        raise BackendUnavailable("connection refused")

    async def story() -> None:
        async with open_chats(talking(world), store=store) as chats:
            session = await chats.create("t")
            for said in ("a red square", "it is warm"):
                await session.say(said)
        none = {name: world.role(name, away) for name in ("captioner", "reasoner", "judge")}
        dead = talking(world, **none, verifier=world.role("verifier", scorer=away))
        async with open_chats(dead, store=store) as chats:
            session = await chats.open("t")
            with pytest.raises(BackendUnavailable):
                await session.say("a blue square")
        async with open_chats(dead, store=store) as chats:
            assert [(row["turns"], row["last"]) for row in await chats.list()] == [(2, "it is warm")]
            session = await chats.open("t")
            assert await session.pending() == "a blue square"
            exported = await session.export()
            assert [turn["message"] for turn in exported["turns"]] == ["a red square", "it is warm"]
            other = await session.branch(1, thread="other")
            assert [turn["message"] for turn in await other.turns()] == ["a red square"]
            assert len(await session.undo()) == 2  # of the message that was never answered
            assert await session.pending() is None
            assert len(await session.undo()) == 1
            await chats.delete("t")
            (row,) = await chats.list()
            assert (row["thread"], row["parent"]) == ("other", {"thread": "t", "turn": 1})
        async with open_chats(talking(world), store=store) as chats:
            turn = await (await chats.open("other")).say("a blue square")
            assert turn["results"][0]["id"] == "blue.png"

    asyncio.run(story())


def test_a_reference_that_is_deleted_before_its_turn_ends_gives_the_message_up(
    world: Any, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.png"
    Image.new("RGB", (40, 30), "green").save(mine)
    sick = Sick(world, "describe")

    async def story() -> None:
        async with open_chats(sick.services) as chats:
            session = await chats.create("t")
            sick.failure = FAILURES["away"]
            with pytest.raises(BackendUnavailable):
                await session.say("the same, but red", mine)
        mine.unlink()
        sick.failure = None
        async with open_chats(sick.services) as chats:
            session = await chats.open("t")
            assert await session.pending() is None and await session.turns() == []
            turn = await session.say("a red square")
            assert turn["results"][0]["id"] == "red.png"
            assert (
                "the same, but red" in turn["notes"][0]["detail"] and "mine.png" in turn["notes"][0]["detail"]
            )

    asyncio.run(story())


def test_the_page_does_not_offer_to_say_again_what_is_kept(world: Any) -> None:
    pytest.importorskip("gradio", reason="pip install 'imagescope-agent[ui]'")
    from imagescope_agent.chat.page import WAITING, Page
    from imagescope_agent.chat.user_scope import UserChats

    async def story() -> list[str]:
        sick = Sick(world, "fold")
        async with open_chats(sick.services) as chats:
            await (await chats.create("t")).say("a red square")
            page, own = Page(chats), UserChats(chats, None)
            page.blocks()
            sick.failure = FAILURES["away"]
            *_, last = [update async for update in page._turn(own, "t", "it is warm")]
            sick.failure = None
            assert page.message not in last and WAITING.split(":")[0] in str(last[page.progress])
            await chats.open("t")  # answers it
            return [turn["message"] for turn in await (await chats.open("t")).turns()]

    assert asyncio.run(story()) == ["a red square", "it is warm"]

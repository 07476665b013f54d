"""Conversations in a PostgreSQL that is restarted, and services that share one database."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from imagescope_agent.chat import open_chats
from imagescope_agent.errors import BackendUnavailable
from tests.chat.talk import talking, think
from tests.conftest import World
from tests.engines import Server
from tests.service.conftest import folder, start  # noqa: F401 - a fixture


def test_conversations_go_on_after_the_database_was_restarted(
    world: World, url: str, postgres: Server
) -> None:
    async def story() -> list[str]:
        async with open_chats(talking(world), store=url) as chats:
            session = await chats.create("c")
            await session.say("a red square")
            postgres.kill()
            with pytest.raises(BackendUnavailable, match="does not answer"):
                await session.say("warm")
            postgres.start()
            await session.say("warm")
            assert len(await chats.list()) == 1
            return [turn["message"] for turn in await session.turns()]

    assert asyncio.run(story()) == ["a red square", "warm"]


def test_a_turn_in_which_the_database_is_restarted_is_finished_once(
    world: World, url: str, postgres: Server
) -> None:
    restarted: list[bool] = []

    def reason(asked: Any) -> str:
        if "warm" in asked.text and not restarted:
            restarted.append(True)
            postgres.kill()
            postgres.start()
        return think(asked)

    async def story() -> list[str]:
        services = talking(world)
        async with open_chats(services, store=url) as chats:
            await (await chats.create("c")).say("a red square")
        unlucky = talking(world)
        for role in {id(each): each for each in (unlucky.reasoner, unlucky.talker)}.values():
            role.model.reply = reason
        async with open_chats(unlucky, store=url) as chats:
            session = await chats.open("c")
            with pytest.raises(BackendUnavailable):
                await session.say("warm")
            other = await chats.open("c")  # finishes the turn that was cut off
            assert len(await other.turns()) == 2
        async with open_chats(services, store=url) as chats:
            return [turn["message"] for turn in await (await chats.open("c")).turns()]

    assert asyncio.run(story()) == ["a red square", "warm"] and restarted


@pytest.mark.slow
def test_two_services_share_conversations_searches_and_traces(folder: Any, url: str) -> None:  # noqa: F811
    """One is killed: the other goes on with all that it kept."""
    one, first = start(str(folder), "--store", url)
    two, second = start(str(folder), "--store", url)
    try:
        with httpx.Client(timeout=120) as client:

            def post(address: str, path: str, **values: Any) -> Any:
                answer = client.post(f"{address}{path}", json=values)
                assert answer.is_success, answer.text
                return answer.json()

            found = post(first, "/v1/search", text="a red boat", k=3, run="mine")
            post(first, "/v1/threads", thread="t")
            post(first, "/v1/threads/t/say", message="a house")
            one.kill()
            one.wait()
            seen = client.get(f"{second}/v1/runs/mine").json()
            assert seen["finished"]
            assert [hit["id"] for hit in seen["result"]["results"]] == [hit["id"] for hit in found["results"]]
            assert client.get(f"{second}/v1/runs/mine/trace?form=json").is_success
            turn = post(second, "/v1/threads/t/say", message="and a tree")
            assert turn
            told = client.get(f"{second}/v1/threads/t").json()
            assert "a house" in str(told) and "and a tree" in str(told)
    finally:
        for process in (one, two):
            process.kill()
            process.communicate(timeout=600)

"""A conversation over photos with the profile that has no talker: words count, and nobody is asked in vain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.api import index_folder
from imagescope_agent.chat.chats import Chats
from imagescope_agent.chat.store import graph_for
from imagescope_agent.services import open_services
from imagescope_agent.settings import Settings
from tests.mini.test_photos_profile import views

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def talked(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = views(tmp_path_factory.mktemp("photos") / "pictures")
    index_folder(folder, profile="photos", progress=False)
    services = open_services("photos", folder)
    assert graph_for(services) == "chat_retrieve"

    async def hold() -> list[dict[str, Any]]:
        settings = Settings.load(services.settings, k=3)
        session = await Chats(services, InMemorySaver(), settings).create()
        said = [
            "I'm looking for a clear blue sky",
            "thanks, that is very kind of you",
            "no, a green meadow",
            "asdf qwer zxcv",
            "without sand",
            "start over, a desert",
        ]
        return [dict(await session.say(each)) for each in said]

    return asyncio.run(hold())


def test_what_is_looked_for_follows_the_messages(talked: list[dict[str, Any]]) -> None:
    assert [turn["request"] for turn in talked] == [
        "a clear blue sky",
        "a clear blue sky",
        "a green meadow",
        "a green meadow",
        "a green meadow, without sand",
        "a desert",
    ]


def test_no_absent_model_is_asked(talked: list[dict[str, Any]]) -> None:
    assert not [note for turn in talked for note in turn["notes"] if "no chat model" in note["detail"]]
    assert {step["role"] for turn in talked for step in turn["usage"] if step["calls"]} <= {"classifier"}


def test_what_changes_nothing_is_said(talked: list[dict[str, Any]]) -> None:
    assert any("nothing was changed" in each.lower() for each in talked[1]["remarks"])
    assert any("did not understand" in each for each in talked[3]["remarks"])


def test_an_exclusion_is_told_to_be_rough(talked: list[dict[str, Any]]) -> None:
    assert any("'sand': kept away by similarity alone" in note["detail"] for note in talked[4]["notes"])
    assert [hit["id"] for hit in talked[4]["results"]][-1] == "desert.jpg"

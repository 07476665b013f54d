"""What people say to limit a search, with the shipped models: it becomes a filter, and a wish stays a wish."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagescope_agent.api import index_folder
from imagescope_agent.chat import Chats
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.nodes.chat.language.periods import period_of
from imagescope_agent.services import open_services
from imagescope_agent.settings import Settings

IMAGES = 12
ALBUMS, OWNERS, CAMERAS = ("Rome", "Ostia", "Turin"), ("Ilse", "Tariq"), ("Nikon D90", "Leica M8")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Drawn pictures in folders, with dates, cameras and owners."""
    root = tmp_path_factory.mktemp("limits")
    make_world(root, 0, IMAGES)
    rows = []
    for place, path in enumerate(sorted(root.glob("**/*.png"))):
        new = root / ALBUMS[place % 3] / path.name
        new.parent.mkdir(exist_ok=True)
        path.rename(new)
        row = {
            "date": f"{2019 + place % 8}-0{1 + place % 9}-11",
            "camera": CAMERAS[place % 2],
            "owner": OWNERS[place // 2 % 2],
        }
        rows.append(json.dumps({"file_name": str(new.relative_to(root)), **row}))
    (root / "metadata.jsonl").write_text("\n".join(rows))
    index_folder(root, profile="mini")
    yield open_services("mini", root)


def say(services: Any, *messages: str) -> list[Any]:
    async def hold() -> list[Any]:
        session = await Chats(services, InMemorySaver(), Settings(k=5, clarify="never")).create()
        told = []
        for message in messages:
            turn: Any = await session.say(message)
            told.append({**turn, "facts": [fact["text"] for fact in (await session.state())["facts"]]})
        return told

    return asyncio.run(hold())


def summer() -> str:
    span = period_of("last summer", date.today())
    assert span is not None
    return f"date >= {span[0]} and date < {span[1]}"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ("only from last summer", summer()),
        ("only those in the Rome folder", "folder = 'Rome'"),
        ("nothing but what lies in Ostia", "folder = 'Ostia'"),
        ("just the Leica shots please", "camera = 'Leica M8'"),
        ("only what Tariq owns", "owner = 'Tariq'"),
    ],
)
def test_a_limit_in_words_becomes_a_filter_and_no_fact(services: Any, message: str, where: str) -> None:
    first, second = say(services, "a red house", message)
    assert second.get("where") == where and second["facts"] == first["facts"]


def test_a_wish_beside_a_limit_is_kept_and_the_limit_can_go(services: Any) -> None:
    _, both, lifted = say(
        services, "a red house", "also a boat, only from the Turin folder", "any folder is fine again"
    )
    assert both["where"] == "folder = 'Turin'" and any("boat" in fact for fact in both["facts"])
    assert not any("turin" in fact.lower() for fact in both["facts"])
    assert "where" not in lifted and lifted["facts"] == both["facts"]


@pytest.mark.parametrize(
    "message", ["show more", "without any trees", "any colour will do", "I don't care about the boat"]
)
def test_what_names_no_limit_lifts_none(services: Any, message: str) -> None:
    assert (
        say(services, "a red house", "only those in the Rome folder", message)[-1]["where"]
        == "folder = 'Rome'"
    )


@pytest.mark.parametrize(
    "message",
    [
        "a man called Tariq holding a star",
        "a calendar of 2021",
        "a house in winter",
        "it may have a small cat",
        "also two red stars",
        "no umbrellas",
    ],
)
def test_a_wish_is_no_limit(services: Any, message: str) -> None:
    assert "where" not in say(services, "a red house", message)[-1]

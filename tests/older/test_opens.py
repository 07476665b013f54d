"""What the version of 28 November 2026 wrote still opens: an index, its runs, a conversation and the traces.

`index/` was written by that version about eight drawn scenes (seed 77, which draws the same pictures again), with the
mini profile, in the folder /photos:

    imagescope index .
    printf 'a blue car\n/like 1\nin the snow\n' | imagescope chat . --thread kept
    imagescope search . "the same, but at night" --image 000000.png
    imagescope search . "a red circle"

`kept.json` holds what it answered.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import ImageScope
from imagescope_agent.api import index_folder
from imagescope_agent.chat import open_chats
from imagescope_agent.cli import main
from imagescope_agent.lab.scenes.make import make_world

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
KEPT = json.loads((HERE / "kept.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("older")
    make_world(folder, 77, 8)
    shutil.copytree(HERE / "index", folder / "images" / ".imagescope")
    return folder / "images"


def test_a_composed_search_of_the_index_ranks_as_it_did(photos: Path) -> None:
    kept = KEPT["composed"]
    found = ImageScope.open(photos).search(kept["query"], image="000000.png")
    assert [hit.id for hit in found] == kept["ids"] and found[0].reasons == kept["reasons"]
    assert dict(found[0].scores) == pytest.approx(kept["scores"], abs=1e-4)


def test_a_search_of_the_index_ranks_as_that_of_a_new_one(photos: Path, tmp_path: Path) -> None:
    # not as it did: its words are unknown to the models, and each reader makes something else of them
    make_world(tmp_path, 77, 8)
    index_folder(tmp_path / "images", profile="mini", progress=False)
    query = KEPT["search"]["query"]
    old, new = (ImageScope.open(folder).search(query) for folder in (photos, tmp_path / "images"))
    assert [(hit.id, hit.reasons) for hit in old] == [(hit.id, hit.reasons) for hit in new]
    assert old[0].scores == pytest.approx(new[0].scores, abs=1e-4)


@pytest.mark.parametrize("name", ["search", "composed"])
def test_a_finished_run_gives_its_result_again(photos: Path, name: str) -> None:
    found = ImageScope.open(photos).resume(KEPT[name]["run"])
    assert [hit.id for hit in found] == KEPT[name]["ids"] and found[0].reasons == KEPT[name]["reasons"]


def test_a_conversation_is_read_and_goes_on(photos: Path) -> None:
    async def talk() -> list[dict[str, Any]]:
        async with open_chats(ImageScope.open(photos).services) as chats:
            session = await chats.open("kept")
            told = await session.export()
            await session.undo()
            await session.say("without a blue car")
            assert len((await session.export())["turns"]) == len(told["turns"])
            return list(told["turns"])

    turns = asyncio.run(talk())
    told = [
        {
            "message": turn["message"],
            "request": turn["request"],
            "ids": [hit["id"] for hit in turn["results"]],
        }
        for turn in turns
    ]
    assert told == KEPT["export"]


def test_a_trace_is_shown(photos: Path, tmp_path: Path) -> None:
    store = str(photos / ".imagescope" / "traces.sqlite")
    page = ["--html", str(tmp_path / "page.html")]
    assert main(["trace", KEPT["composed"]["run"], "--store", store, *page]) == 0
    assert "at night" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_indexing_again_describes_the_pictures_anew_since_the_model_was_taught_on_and_once(
    photos: Path,
) -> None:
    first, again = (index_folder(photos, progress=False) for _ in range(2))
    assert (first.images, first.new, first.unchanged) == (8, 8, 0)
    assert (again.images, again.new, again.unchanged) == (8, 0, 8)

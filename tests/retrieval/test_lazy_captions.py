"""Indexing without captions: searchable at once, captions for what searches reach, completed later."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BackendUnavailable, BadInput, RequestFailed
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted
from imagescope_agent.records import NOT_DEGRADING
from imagescope_agent.retrieval.captions import lazy as lazy_captions
from imagescope_agent.retrieval.captions.lazy import FoundCaption, add_captions, found_captions, recipe_of
from imagescope_agent.retrieval.captions.on_demand import CaptionOnDemand
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.services import Services, _captions_on_demand
from tests.conftest import PALETTE, ColourEmbedder, World

PROMPT = "describe"


def index(world: World, captions: str | None = None, reply: Any = None, **options: Any) -> IndexReport:
    captioner = world.role("captioner", reply or (lambda asked: f"a {world.colour(asked)} square"))
    weights = options.pop("captioner_weights", "scripted")
    work = build(world.folder, None, world.embedder, captioner, PROMPT, captioner_weights=weights,
                 captions=captions, **options)  # fmt: skip
    return asyncio.run(work)


@pytest.fixture
def bare(tmp_path: Path) -> World:
    """The coloured pictures, indexed anew without captions that searches shall make."""
    world = World(tmp_path / "world")
    for file in (world.folder / ".imagescope").iterdir():
        file.unlink()
    report = index(world, "lazy")
    assert report.uncaptioned == 8 and not report.usage["calls"]
    world.collection = FolderCollection.open(world.folder)
    return world


def services(world: World, reply: Any = None) -> Services:
    """Services that caption on demand, with the words that the index was made with."""
    captioner = world.role("captioner", reply or (lambda asked: f"a {world.colour(asked)} square"))
    found = world.services(captioner=captioner)
    demand = CaptionOnDemand(
        captioner, world.embedder, world.collection, world.collection.location, "scripted"
    )
    demand.prompt = PROMPT
    return Services(**{**vars(found), "captions": demand})


def search(world: World, given: Services, text: str = "red", **settings: Any) -> Any:
    return ImageScope(given, graph="cotrr", **settings).search(text)


def test_vectors_come_first_and_are_those_of_a_whole_index(bare: World, tmp_path: Path) -> None:
    whole = World(tmp_path / "whole")
    for name in whole.collection.ids:
        assert bare.collection.image_vector(name).tolist() == whole.collection.image_vector(name).tolist()
    query = bare.embedder.texts(["red"])
    assert bare.collection.search(query, 0.15, 8) == whole.collection.search(query, 0.0, 8), (
        "tau is 0 for all"
    )
    assert bare.collection.uncaptioned == set(bare.collection.ids)


def test_a_search_says_that_captions_are_missing_and_is_not_degraded(bare: World) -> None:
    found = ImageScope(bare.services(), graph="retrieve").search("red")
    (note,) = found.notes
    assert note["kind"] == "uncaptioned" in NOT_DEGRADING
    assert "8 of the 8" in note["detail"] and f"--captions all {bare.folder}" in note["detail"]


def test_what_a_search_reaches_is_captioned_once_and_kept(bare: World) -> None:
    given = services(bare)
    assert not bare.collection.matching("caption contains 'square'").any()
    first = search(bare, given, top_k=3, k=3)
    assert first.usage["calls"]["captioner"] == 3
    assert bare.collection.matching("caption contains 'square'").sum() == 3
    assert len(bare.collection.uncaptioned) == 5 and bare.collection.caption("red.png") == "a red square"
    again = search(bare, given, top_k=3, k=3)
    assert "captioner" not in again.usage["calls"] and not [
        n for n in again.notes if n["kind"] == "uncaptioned"
    ]
    opened = FolderCollection.open(bare.folder)  # another process
    assert opened.uncaptioned == bare.collection.uncaptioned
    query = bare.embedder.texts(["red"])
    assert opened.search(query, 0.5, 8) == bare.collection.search(query, 0.5, 8)


def test_captions_of_searches_and_later_ones_make_the_whole_index(bare: World, tmp_path: Path) -> None:
    """The same rankings as of an index that had all captions from the beginning."""
    search(bare, services(bare), top_k=3, k=3)
    report = index(bare, "all")
    assert (report.captioned, report.uncaptioned, report.new, report.unchanged) == (5, 0, 0, 8)
    assert report.usage["calls"] == 5, "what searches captioned is not captioned again"
    whole, opened = World(tmp_path / "whole").collection, FolderCollection.open(bare.folder)
    assert opened.captions == whole.captions and not opened.uncaptioned
    for colour in PALETTE:
        query = bare.embedder.texts([colour])
        assert opened.search(query, 0.15, 8) == whole.search(query, 0.15, 8)
    assert found_captions(opened.location, recipe_of(bare.embedder.weights, "scripted"), 8) == []


def test_indexing_again_keeps_the_wish_and_what_was_found(bare: World) -> None:
    search(bare, services(bare), top_k=3, k=3)
    Image.new("RGB", (32, 32), (1, 2, 3)).save(bare.folder / "new.png")
    report = index(bare)
    assert (report.new, report.uncaptioned, report.usage["calls"]) == (1, 6, 0)
    assert manifest.read(bare.collection.location).captions == "lazy"
    assert FolderCollection.open(bare.folder).caption("red.png") == "a red square"


def test_completing_is_resumed_where_it_was_cut_off(bare: World) -> None:
    calls: list[str] = []

    def breaks(asked: Asked) -> str:
        calls.append(asked.images[-1])
        if len(calls) > 4:
            raise ConnectionError("away")
        return "a square"

    with pytest.raises(BackendUnavailable):
        index(bare, "all", breaks, batch=2)
    assert len(FolderCollection.open(bare.folder).uncaptioned) == 8, "the index of before stands until then"
    report = index(bare, "all", lambda asked: "a square", batch=2)
    assert report.usage["calls"] == 4 and not FolderCollection.open(bare.folder).uncaptioned


def test_an_index_with_captions_stays_one(world: World) -> None:
    assert "captions" not in (world.collection.location / manifest.MANIFEST).read_text()
    assert index(world).uncaptioned == 0 and index(world, "none").uncaptioned == 0, (
        "captions are not thrown away"
    )
    with pytest.raises(BadInput, match="all, lazy, none"):
        index(world, "some")


def test_a_budget_is_kept_for_the_answer(bare: World) -> None:
    found = search(bare, services(bare), budget=2)
    assert "captioner" not in found.usage["calls"]
    assert [note["kind"] for note in found.notes if note["step"] == "retrieve"] == ["uncaptioned"]


def test_a_captioner_that_is_away_costs_captions_and_not_the_search(bare: World) -> None:
    def away(asked: Asked) -> str:
        raise ConnectionError("away")

    found = search(bare, services(bare, away))
    kinds = [note["kind"] for note in found.notes if note["step"] in ("caption", "retrieve")]
    assert found[0].id == "red.png" and kinds == ["fallback", "uncaptioned"]


def test_a_picture_that_gets_no_caption_is_not_asked_for_again(bare: World) -> None:
    given = services(bare, "No")
    first, again = search(bare, given), search(bare, given)
    assert sum("got no caption" in note["detail"] for note in first.notes) == 8
    assert "captioner" not in again.usage["calls"] and bare.collection.caption("red.png") == ""
    assert first[0].id == again[0].id == "red.png"


def test_a_picture_that_may_be_answered_later_is_asked_for_again(bare: World) -> None:
    count = [0]

    def overloaded(asked: Asked) -> str:
        count[0] += 1
        if bare.colour(asked) == "red":
            raise RequestFailed("this one timed out")
        return "a square"

    given = services(bare, overloaded)
    search(bare, given)
    assert bare.collection.uncaptioned == {"red.png"} and count == [8]
    search(bare, given)
    assert count == [9]


def test_where_nothing_may_be_written_captions_are_used_and_told(
    bare: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: Any) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("imagescope_agent.retrieval.captions.on_demand.add_captions", refuses)
    found = search(bare, services(bare))
    assert any("are not kept" in note["detail"] for note in found.notes)
    assert bare.collection.caption("red.png") == "a red square"


def test_a_reference_without_a_caption_is_described(bare: World) -> None:
    given = bare.services(captioner=bare.role("captioner", "a ruby tile"))
    state = ImageScope(given, graph="imagescope").search("the same in blue", image="red.png")
    asked = given.captioner.model.asked
    assert len(asked) == 1 and state.reference == "red.png"


WRITER = """
import sys
from pathlib import Path
import numpy as np
from imagescope_agent.retrieval.captions.lazy import FoundCaption, add_captions
me, place = int(sys.argv[1]), Path(sys.argv[2])
for n in range(40):
    words = np.eye(8, dtype=np.float32)[n % 8]
    add_captions(place, "e\\nc\\np", [FoundCaption(key=f"{n:064x}", caption=f"by {me}", words=words)])
"""


def test_several_processes_write_and_the_first_caption_stays(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(number), str(tmp_path)]) for number in range(3)
    ]
    assert [process.wait(timeout=600) for process in started] == [0, 0, 0]
    first = found_captions(tmp_path, "e\nc\n", 8)
    assert sorted(each.key for each in first) == [f"{n:064x}" for n in range(40)]
    add_captions(tmp_path, "e\nc\np", [FoundCaption(key=first[0].key, caption="late", words=first[0].words)])
    (kept,) = found_captions(tmp_path, "e\nc\n", 8, keys=[first[0].key])
    assert kept.caption == first[0].caption
    assert found_captions(tmp_path, "e\nother\n", 8) == [], "of other models"


def test_damaged_rows_are_left_out_and_a_damaged_file_is_told(bare: World) -> None:
    search(bare, services(bare))
    place = bare.collection.location / lazy_captions.FILE
    with sqlite3.connect(place) as base:
        base.execute("update captions set caption = 'a lie' where rowid = 1")
        base.execute("update captions set words = x'00' where rowid = 2")
    base.close()
    assert len(FolderCollection.open(bare.folder).uncaptioned) == 2
    place.write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(BadInput, match=r"damaged.*delete it"):
        FolderCollection.open(bare.folder)


def test_profiles_make_captions_only_with_the_models_of_the_index(bare: World) -> None:
    class Other(Scripted):
        weights: str = "others"

    embedder: Any = ColourEmbedder()
    assert _captions_on_demand(Role("captioner", Other(reply="x")), embedder, bare.collection) is None
    assert _captions_on_demand(Role("captioner", Scripted("x")), embedder, bare.collection) is not None

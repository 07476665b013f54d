"""What an engine may do that this process never does: batches in another order, and files that change on the way."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import RequestRefused
from imagescope_agent.retrieval.index.making import Batch, LocalEngine, Made, Maker

CHANGED = "it changed while it was indexed"


class Losing(LocalEngine):
    """Finds some files changed when their batch is computed, and gives the batches back in an order of its own."""

    def __init__(self, *gone: str, order: Callable[[list[Any]], list[Any]] = list) -> None:
        self.gone, self.order = gone, order

    async def make(
        self, folder: Path, batches: Iterable[Batch], maker: Maker
    ) -> AsyncIterator[tuple[Batch, Made]]:
        made = []
        for batch in list(batches):
            both = zip(batch.wanted, batch.pictures, strict=True)
            there = [(each, picture) for each, picture in both if each.id not in self.gone]
            found = await maker(*map(list, zip(*there, strict=True))) if there else Made()
            lost = {each.id: CHANGED for each in batch.wanted if each.id in self.gone}
            made.append((batch, Made(**{**vars(found), "gone": lost})))
        for each in self.order(made):
            yield each


def backwards(made: list[Any]) -> list[Any]:
    return made[::-1]


def ids(folder: Path) -> list[str]:
    content = json.loads((folder / ".imagescope" / "imagescope.json").read_text())
    return [entry["id"] for entry in content["entries"]]


@pytest.fixture
def folder(pictures: Any) -> Path:
    """Six pictures, two of them with a copy: one in the same batch of four, one in a later batch."""
    made: Path = pictures(6)
    shutil.copy(made / "0000.png", made / "0000b.png")
    shutil.copy(made / "0001.png", made / "0009.png")
    return made


@pytest.mark.parametrize("order", [list, backwards])
def test_the_copies_of_a_file_that_changed_are_told(folder: Path, index: Any, order: Any) -> None:
    report = index(folder, batch=4, engine=Losing("0000.png", "0001.png", order=order))
    told = {item.id: item.reason for item in report.skipped}
    assert told.keys() == {"0000.png", "0000b.png", "0001.png", "0009.png"}
    assert told["0000.png"] == CHANGED and "a copy of" in told["0009.png"] == told["0000b.png"]
    assert (report.images, report.new, report.copies, report.unchanged, report.removed) == (4, 4, 0, 0, 0)
    assert not {*ids(folder)} & told.keys() and len(ids(folder)) == 4
    again = index(folder, batch=4)
    assert (again.images, again.new, again.copies, again.unchanged) == (8, 2, 2, 4) and not again.skipped


@pytest.mark.parametrize("captions", ["all", "none"])
def test_a_file_that_changed_is_not_published_with_what_an_earlier_run_found(
    folder: Path, index: Any, draw: Any, captions: str
) -> None:
    assert index(folder, captions="none").new == 6
    if captions == "none":  # changed before, and again on the way
        draw(folder / "0001.png", 99)
    report = index(folder, captions=captions, engine=Losing("0001.png"))
    assert "0001.png" not in ids(folder) and "0001.png" in {item.id for item in report.skipped}
    if captions == "none":
        want = (7, 0, 0, 7)
    else:
        want = (6, 0, 0, 6)
        assert (report.captioned, report.uncaptioned) == (5, 0)
    assert (report.images, report.new, report.copies, report.unchanged) == want
    assert report.removed == 8 - report.images == len(report.skipped)


def test_the_captioner_is_judged_by_the_first_batch(pictures: Any, index: Any) -> None:
    folder = pictures(6)
    replies = [*["a picture"] * 4, RequestRefused("filtered"), RequestRefused("filtered")]
    alone = index(folder, folder.parent / "alone", batch=2, reply=list(replies))
    report = index(folder, batch=2, reply=replies, engine=Losing(order=backwards))
    assert report.images == alone.images == 6
    assert sorted(map(str, report.notes)) == sorted(map(str, alone.notes)) and len(report.notes) == 2


def test_later_batches_do_not_save_a_captioner_that_refuses_the_first(pictures: Any, index: Any) -> None:
    folder = pictures(6)
    replies = [RequestRefused("filtered"), RequestRefused("filtered"), *["a picture"] * 4]
    for order in (list, backwards):
        with pytest.raises(RequestRefused, match="filtered"):
            index(
                folder,
                folder.parent / order.__name__,
                batch=2,
                reply=list(replies),
                engine=Losing(order=order),
            )


@pytest.mark.parametrize("engine", [None, Losing()])
def test_a_stop_is_seen_between_two_batches(pictures: Any, index: Any, grey: Any, engine: Any) -> None:
    class Stopped(grey):  # type: ignore[misc]
        def images(self, images: Any) -> np.ndarray:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()  # what the first Ctrl-C does
            made: np.ndarray = super().images(images)
            return made

    folder = pictures(6)
    with pytest.raises(asyncio.CancelledError):
        index(folder, batch=2, captions="none", embedder=Stopped(), engine=engine)
    if engine is None:
        assert index.embedder.seen_images == 2
    assert not (folder / ".imagescope" / "imagescope.json").exists()


def test_copies_that_come_back_first_leave_the_early_line_about_the_pictures(
    folder: Path, index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[int] = []
    monkeypatch.setattr(
        "imagescope_agent.retrieval.index.indexer.said_of", lambda _, rows: said.append(len(rows))
    )
    shutil.copy(folder / "0000.png", folder / "zz.png")
    index(folder, batch=6, progress=True, engine=Losing(order=backwards))
    assert said == [6]


def test_the_bar_says_how_many_files_were_read_before_a_batch_is_done(
    folder: Path, index: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("imagescope_agent.retrieval.index.indexer.TOLD", 4)
    index(folder, progress=True, engine=Losing())
    shown = capsys.readouterr().err
    assert "0/8" in shown.partition("4 files read")[0] and "8 files read" in shown

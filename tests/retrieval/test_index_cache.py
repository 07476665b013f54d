"""A journal that was damaged, and an embedder that gives what is no vector, publish nothing wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.report import IndexReport
from tests.security.strangers import database, snapshot

Index = Callable[..., IndexReport]


@pytest.fixture
def index(grey: Any) -> Index:
    """Index a folder; `embedder` makes the vectors."""

    def run(folder: Path, embedder: Any = None) -> IndexReport:
        captioner = Role("captioner", Scripted(lambda asked: f"a picture called {asked.images[0][:8]}"))
        work = build(folder, None, embedder or grey(), captioner, "describe", captioner_weights="1")
        return asyncio.run(work)

    return run


def published(folder: Path) -> dict[str, bytes | str]:
    return {name: data for name, data in snapshot(folder / ".imagescope").items() if "journal" not in name}


FLIPS = {
    "a bit of a picture's vector": "update contents set image = cast(x'01' || substr(image, 2) as blob)",
    "a bit of a caption's vector": "update contents set words = "
    "cast(substr(words, 1, 9) || x'3f' || substr(words, 11) as blob)",
    "a letter of a caption": "update contents set caption = 'A' || substr(caption, 2)",
    "a caption that is no text": "update contents set caption = cast(x'ff' || caption as text)",
    "a caption of another type": "update contents set caption = x'00'",
    "vectors that are swapped": "update contents set image = words, words = image",
    "vectors that are shorter": "update contents set image = substr(image, 5)",
    "vectors of nothing": "update contents set image = zeroblob(192), words = zeroblob(192)",
    "vectors that are no numbers": "update contents set image = cast(replace(hex(zeroblob(48)), '00', 'AAAA') as blob)",
    "a digest": "update contents set digest = '0'",
}  # fmt: skip


@pytest.mark.parametrize("flip", FLIPS)
def test_what_is_not_what_was_written_is_computed_anew(index: Index, pictures: Any, flip: str) -> None:
    folder = pictures(5)
    index(folder)
    before = published(folder)
    with database(folder / ".imagescope" / "journal.sqlite") as base:
        keys = [key for (key,) in base.execute("select key from contents order by key limit 2")]
        for key in keys:
            base.execute(f"{FLIPS[flip]} where key = ?", (key,))
    report = index(folder)
    assert (report.new, report.unchanged) == (2, 3)
    assert [(note["step"], note["kind"]) for note in report.notes] == [("index", "damaged")]
    assert published(folder) == before
    assert index(folder).notes == ()


@pytest.mark.parametrize("where", ["id", "stamp", "key"])
def test_a_damaged_row_of_a_file_costs_nothing_but_a_look(index: Index, pictures: Any, where: str) -> None:
    folder = pictures(5)
    index(folder)
    before = published(folder)
    with database(folder / ".imagescope" / "journal.sqlite") as base:
        base.execute(
            f"update files set {where} = cast(x'ff' || substr({where}, 2) as text) where id = '0000.png'"
        )
    index(folder)
    assert published(folder) == before


def test_a_journal_of_an_earlier_version_is_gone_on_with(index: Index, pictures: Any) -> None:
    folder = pictures(5)
    index(folder)
    before = published(folder)
    with database(folder / ".imagescope" / "journal.sqlite") as base:
        base.execute("alter table contents drop column digest")
        base.execute("pragma user_version = 1")
        (key,) = base.execute("select key from contents limit 1").fetchone()
        base.execute("update contents set image = zeroblob(192) where key = ?", (key,))
    report = index(folder)
    assert (report.new, report.unchanged) == (1, 4) and published(folder) == before
    with database(folder / ".imagescope" / "journal.sqlite") as base:
        assert base.execute("select count(*) from contents where digest is null").fetchone() == (0,)
        assert base.execute("pragma user_version").fetchone() == (2,)


@pytest.mark.parametrize(
    "bad", ["nan", "inf", "zero", "long", "short", "flat", "fewer", "ragged", "text", "scaled"]
)
@pytest.mark.parametrize("what", ["images", "texts"])
def test_what_is_no_vector_is_refused_and_the_image_is_named(
    index: Index, pictures: Any, grey: Any, bad: str, what: str
) -> None:
    folder, embedder = pictures(4), grey()
    index(folder)
    before = published(folder)
    Image.new("L", (9, 9), 77).save(folder / "new.png")
    whole = getattr(embedder, what)

    def broken(given: Sequence[Any]) -> Any:
        rows = np.array(whole(given))
        changed: dict[str, Callable[[], Any]] = {
            "nan": lambda: np.where(np.arange(48) == 3, np.nan, rows), "inf": lambda: rows * np.inf,
            "zero": lambda: rows * 0, "long": lambda: np.hstack([rows, rows * 0]), "short": lambda: rows[:, :40],
            "flat": lambda: rows[0], "fewer": lambda: rows[:0], "ragged": lambda: [[1.0], [1.0, 2.0]],
            "text": lambda: [["a"] * 48], "scaled": lambda: rows * 1.1,
        }  # fmt: skip
        return changed[bad]()

    setattr(embedder, what, broken)
    with pytest.raises(BadInput, match=r"'new\.png'.*check the embedding model") as caught:
        index(folder, embedder)
    assert "\n" not in str(caught.value)
    assert published(folder) == before and len(FolderCollection.open(folder)) == 4
    assert index(folder).images == 5

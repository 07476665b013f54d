"""Images of a large collection are columns of a file: the same collection, and nothing is read one by one at start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.captions.lazy import FoundCaption
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index import entries, manifest
from imagescope_agent.retrieval.index.entries import Entry, EntryTable, write_entries
from imagescope_agent.retrieval.stores import tidy


@pytest.fixture
def both(
    pictures: Callable[..., Path], index: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """An index whose manifest holds the images, and one with a file of them."""
    folder = pictures(30)
    for name in ("copy.png", "sub/żółw.png", "sub/𝔘.png", "Zoë.png"):
        (folder / name).write_bytes((folder / "0003.png").read_bytes())
    inline, apart = tmp_path / "inline", tmp_path / "apart"
    index(folder, inline, captions="lazy")
    monkeypatch.setattr(entries, "INLINE", 3)
    index(folder, apart, captions="lazy")
    assert not list(inline.glob("entries.*")) and len(list(apart.glob("entries.*"))) == 1
    return inline, apart


def test_a_collection_is_the_same_however_its_images_are_kept(both: tuple[Path, Path]) -> None:
    plain, table = map(FolderCollection.open, both)
    assert list(table.ids) == list(plain.ids) and len(table) == len(plain)
    assert table.ids[3:7] == list(plain.ids[3:7]) and table.ids[-1] == plain.ids[-1]
    for name in (*plain.ids, "Zoe\u0308.png", "nothing.png", "sub/z.png", ""):
        assert table.named(name) == plain.named(name) and (name in table) == (name in plain)
        assert table.copies(name) == plain.copies(name)
    for name in plain.ids:
        assert table.key(name) == plain.key(name) and table.caption(name) == plain.caption(name)
        assert table.id_of(plain.key(name)) == plain.id_of(plain.key(name))
        assert (name in table.uncaptioned) == (name in plain.uncaptioned)
    assert table.id_of("0" * 64) == plain.id_of("0" * 64) == "" and table.id_of("x") == ""
    query = np.random.default_rng(0).random(48).astype(np.float32)
    query /= np.linalg.norm(query)
    for where in ("", "name like '%1%'"):
        for once in (True, False):
            given: dict[str, Any] = {
                "exclude": ["0003.png"],
                "include": ["copy.png"],
                "once": once,
                "where": where,
            }
            assert table.search(query, 0.4, 9, **given) == plain.search(query, 0.4, 9, **given)


def test_captions_that_are_added_are_kept_beside_the_file(both: tuple[Path, Path]) -> None:
    plain, table = map(FolderCollection.open, both)
    words = plain.image_vector("0001.png")
    for collection in (plain, table):
        found = FoundCaption(key=plain.key("0003.png"), caption="four copies", words=words)
        collection.add_captions([found])
        assert collection.caption("copy.png") == "four copies" == collection.captions["sub/𝔘.png"]
        assert "copy.png" not in collection.uncaptioned and "0001.png" in collection.uncaptioned
    assert sorted(table.uncaptioned) == sorted(plain.uncaptioned) and len(table.uncaptioned) == 29


def test_opening_reads_no_image_and_a_search_few(
    both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    text = EntryTable._text

    def watched(self: EntryTable, name: str, row: int) -> str:
        read.append(row)
        return text(self, name, row)

    monkeypatch.setattr(EntryTable, "_text", watched)
    table = FolderCollection.open(both[1])
    assert not read
    table.search(table.image_vector("0007.png"), 0.0, 3)
    assert 0 < len(read) < 2 * len(table)


def test_indexing_again_keeps_the_file_and_removes_what_is_left(
    both: tuple[Path, Path], index: Any, pictures: Callable[..., Path]
) -> None:
    folder, apart = FolderCollection.open(both[1]).folder, both[1]
    before = {path.name: path.read_bytes() for path in apart.glob("*.*") if path.suffix != ".sqlite"}
    (apart / "entries.0123456789abcdef.safetensors").write_bytes(b"left by a killed process")
    index(folder, apart)
    assert {path.name: path.read_bytes() for path in apart.glob("*.*") if path.suffix != ".sqlite"} == before
    (folder / "0001.png").unlink()
    index(folder, apart)
    (file,) = apart.glob("entries.*")
    assert len(manifest.read(apart).entries) == 33 and file.name not in before
    tidy(apart)
    assert file.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit", "gone", "link"])
def test_damage_to_the_file_is_told(both: tuple[Path, Path], damage: str, tmp_path: Path) -> None:
    (file,) = both[1].glob("entries.*")
    whole = file.read_bytes()
    file.unlink()
    if damage == "link":
        (tmp_path / "elsewhere").write_bytes(whole)
        file.symlink_to(tmp_path / "elsewhere")
    elif damage != "gone":
        changed = bytes([whole[-9] ^ 1])
        file.write_bytes(
            {"empty": b"", "cut": whole[:-50], "one bit": whole[:-9] + changed + whole[-8:]}[damage]
        )
    with pytest.raises(BadInput, match="damaged"):
        FolderCollection.open(both[1])


def test_a_strangers_file_names_nothing_outside_the_folder(tmp_path: Path) -> None:
    made = [Entry(id=name, key="ab" * 32, caption=None) for name in ("../x.png", "a.png")]
    kept = write_entries(tmp_path, made)
    assert kept is not None
    table = EntryTable(tmp_path / kept["file"], kept["sha256"])
    assert table.ids[1] == "a.png"
    with pytest.raises(BadInput, match="no path below the folder"):
        _ = table.ids[0]


def test_what_does_not_fit_into_columns_stays_in_the_manifest(tmp_path: Path) -> None:
    for names, key in (
        (("b", "a"), "ab" * 32),
        (("a", "a"), "ab" * 32),
        (("a", "b"), ""),
        (("a", "\ud800"), "ab" * 32),
    ):
        assert write_entries(tmp_path, [Entry(id=name, key=key, caption="") for name in names]) is None
    assert not list(tmp_path.iterdir())


def test_texts_of_all_images_are_read_at_once(
    both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, table = map(FolderCollection.open, both)
    words = np.eye(48, dtype=np.float32)[3]
    for collection in (plain, table):  # a caption that a search made, of two images
        key = collection.key("0003.png")
        collection.add_captions([FoundCaption(key=key, caption="Żółw am Fluß", words=words)])

    text, read = EntryTable._text, list[str]()

    def watched(self: EntryTable, name: str, row: int) -> str:
        read.append(name)
        return text(self, name, row)

    monkeypatch.setattr(EntryTable, "_text", watched)
    wheres = ("caption contains 'fluß'", "caption is missing", "folder = 'sub'", "name = 'Zoë.png'")
    for where in wheres:
        assert (
            table.matching(where).tolist() == plain.matching(where).tolist() and plain.matching(where).any()
        )
    assert list(table.ids) == list(plain.ids)
    assert "caption" not in read and len(read) < len(table), "but to find the rows of the two"
    assert list(table.captions.values()) == list(plain.captions.values())


def test_an_id_that_leads_out_of_the_folder_is_told_when_all_are_read(tmp_path: Path) -> None:
    listed = [Entry(id=name, key="ab" * 32, caption=None) for name in ("../a.png", "b.png")]
    kept = write_entries(tmp_path, listed)
    assert kept is not None
    with pytest.raises(BadInput, match="no path below"):
        list(EntryTable(tmp_path / kept["file"], kept["sha256"]).ids)

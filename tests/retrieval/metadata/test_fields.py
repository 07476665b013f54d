"""Fields in the index: what files say of themselves, the user's own, and what cannot be used is told."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational
from safetensors.numpy import save

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.retrieval import manifest
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.index_cache import JOURNAL
from imagescope_agent.retrieval.index_report import IndexReport
from imagescope_agent.retrieval.indexer import build
from imagescope_agent.retrieval.metadata import own_fields
from tests.conftest import PALETTE, ColourEmbedder, World

COLOURS = list(PALETTE)


def index(folder: Path, **options: Any) -> IndexReport:
    captioner = Role("captioner", Scripted("a square"))
    work = build(
        folder, None, ColourEmbedder(), captioner, "describe", captioner_weights="scripted", **options
    )
    return asyncio.run(work)


def found(folder: Path, where: str) -> list[str]:
    collection = FolderCollection.open(folder)
    return [name for name, hit in zip(collection.ids, collection.matching(where), strict=True) if hit]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of one colour each: 0.jpg, 1.jpg and trip/2.jpg to trip/4.jpg."""
    for number, name in enumerate(COLOURS[:5]):
        place = tmp_path / ("trip" if number > 1 else "") / f"{number}.jpg"
        place.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40 + number, 20), PALETTE[name]).save(place)
    return tmp_path


def photo(path: Path, **tags: Any) -> None:
    """A JPEG with EXIF data: `tags` of the first IFD, `taken`, and `gps`."""
    exif = Image.Exif()
    inner: dict[int, Any] = {}
    for name, value in tags.items():
        if name == "taken":
            inner[ExifTags.Base.DateTimeOriginal] = value
        elif name == "gps":
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(value)
        else:
            exif[ExifTags.Base[name]] = value
    exif.get_ifd(ExifTags.IFD.Exif).update(inner)
    Image.new("RGB", (60, 30), (9, 9, len(path.name))).save(path, exif=exif)


def degrees(*parts: float) -> tuple[IFDRational, ...]:
    return tuple(IFDRational(round(part * 100), 100) for part in parts)


def test_what_a_camera_wrote(tmp_path: Path) -> None:
    rome = {1: "N", 2: degrees(41, 53, 24), 3: "E", 4: degrees(12, 29, 32)}
    lima = {1: "S", 2: degrees(12, 2, 36), 3: "W", 4: degrees(77, 1, 42)}
    photo(tmp_path / "a.jpg", taken="2024:07:14 21:05:00", Make="NIKON", Model="NIKON D750", gps=rome)
    photo(tmp_path / "bb.jpg", DateTime="2019:01:02 03:04:05", Make="Apple", Model="iPhone 15", gps=lima)
    photo(
        tmp_path / "ccc.jpg", Orientation=6, taken="0000:00:00 00:00:00", gps={1: "N", 2: degrees(95, 0, 0)}
    )
    index(tmp_path)
    assert found(tmp_path, "date = 2024-07-14 and camera = 'NIKON D750'") == ["a.jpg"]
    assert found(tmp_path, "date < 2020 and camera = 'Apple iPhone 15'") == ["bb.jpg"]
    assert found(tmp_path, "lat > 41.88 and lat < 41.9 and lon > 12.4 and lon < 12.5") == ["a.jpg"]
    assert found(tmp_path, "lat < 0 and lon < -77") == ["bb.jpg"]
    assert found(tmp_path, "date is missing and lat is missing") == ["ccc.jpg"]
    assert found(tmp_path, "width = 30 and height = 60") == ["ccc.jpg"], "as a viewer shows it"
    size = (tmp_path / "a.jpg").stat().st_size
    assert "a.jpg" in found(tmp_path, f"bytes = {size}")


def test_folders_and_names(folder: Path) -> None:
    index(folder)
    assert found(folder, "folder = 'trip'") == ["trip/2.jpg", "trip/3.jpg", "trip/4.jpg"]
    assert found(folder, "folder = ''") == ["0.jpg", "1.jpg"]
    assert found(folder, "name in ('0.jpg', '3.jpg')") == ["0.jpg", "trip/3.jpg"]
    assert found(folder, "id = 'trip/3.jpg' and width = 43") == ["trip/3.jpg"]
    assert len(found(folder, "caption contains 'SQUARE'")) == 5


OWN: list[dict[str, Any]] = [
    {
        "file_name": "0.jpg",
        "owner": "Ann",
        "stars": 5,
        "day": "2024-01-02",
        "kept": True,
        "tags": ["sea", "sun"],
    },
    {"file_name": "1.jpg", "owner": "Björn", "stars": 2.5, "day": "2024-03", "kept": False, "tags": []},
    {"file_name": "trip/2.jpg", "owner": "Ann", "stars": None, "camera": "film", "date": "1999-05-01"},
]


def as_json_lines(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in OWN), encoding="utf-8")


def as_csv(folder: Path) -> None:
    names = list(dict.fromkeys(name for row in OWN for name in row if name != "tags"))
    with (folder / "metadata.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(OWN)


def as_parquet(folder: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="pip install 'imagescope-agent[parquet]'")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist(OWN, schema=arrow.schema([
        ("file_name", arrow.string()), ("owner", arrow.string()), ("stars", arrow.float64()),
        ("day", arrow.string()), ("kept", arrow.bool_()), ("tags", arrow.list_(arrow.string())),
        ("camera", arrow.string()), ("date", arrow.string()),
    ])), folder / "metadata.parquet")  # fmt: skip


@pytest.mark.parametrize("write", [as_json_lines, as_csv, as_parquet])
def test_own_fields_are_typed(folder: Path, write: Callable[[Path], None]) -> None:
    write(folder)
    report = index(folder)
    assert not report.notes and not report.skipped
    assert found(folder, "owner = 'Ann'") == ["0.jpg", "trip/2.jpg"]
    assert found(folder, "stars > 2 and kept = false and day = 2024-03-01") == ["1.jpg"]
    assert found(folder, "stars is missing and owner is not missing") == ["trip/2.jpg"]
    assert found(folder, "date < 2000 and camera = 'film'") == ["trip/2.jpg"], (
        "the user knows better than EXIF"
    )
    if write is not as_csv:
        assert found(folder, "tags contains 'sea'") == ["0.jpg"]


def test_metadata_beside_the_images_of_a_folder(folder: Path) -> None:
    (folder / "trip" / "metadata.jsonl").write_text('{"file_name": "2.jpg", "place": "Oslo"}\n')
    index(folder)
    assert found(folder, "place = 'Oslo'") == ["trip/2.jpg"]


def test_every_row_that_cannot_be_used_is_told(folder: Path) -> None:
    lines = [
        '{"file_name": "0.jpg", "year": 2001, "note": {"deep": 1}}',
        '{"file_name": "1.jpg", "year": 2002}',
        '{"file_name": "trip/3.jpg", "year": "n/a"}',
        '{"file_name": "gone.jpg", "year": 1}',
        '{"file_name": "../0.jpg", "year": 1}',
        '{"file_name": "1.jpg", "year": 3}',
        '{"year": 1}',
        "[1, 2]",
        "no json",
        '{"file_name": "trip/4.jpg", "width": 7, "a`b": 1, "half": "\\ud800"}',
    ]
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    told = [note["detail"] for note in index(folder).notes]
    for where, what in [
        ("line 1", "note is"), ("trip/3.jpg", "year is 'n/a', a text where a number should be"),
        ("line 4", "'gone.jpg' is no image"), ("line 5", "'../0.jpg' is no image"), ("line 6", "has a row already"),
        ("line 7", "names no image"), ("line 8", "no JSON object"), ("line 9", "no JSON"),
        ("line 10", "cannot name a field"), ("line 10", "half is"), ("width", "taken from the images"),
    ]:  # fmt: skip
        assert any(where in each and what in each for each in told), (where, what, told)
    assert found(folder, "year >= 2001") == ["0.jpg", "1.jpg"]


def test_many_bad_rows_are_counted(folder: Path) -> None:
    (folder / "metadata.jsonl").write_text("nothing\n" * 500)
    told = index(folder).notes
    assert len(told) == own_fields.TOLD + 1 and "480 more" in told[-1]["detail"]


def test_rows_of_a_table_with_other_cells_are_told(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,zip,n\n0.jpg,01234,1\n1.jpg,9\ntrip/2.jpg,80331,x,y\n")
    told = [note["detail"] for note in index(folder).notes]
    assert len(told) == 2 and "line 3" in told[0] and "line 4" in told[1]
    assert found(folder, "zip = '01234'") == ["0.jpg"], "what begins with zeros is no number"


def test_a_table_that_names_no_images_is_told(folder: Path) -> None:
    (folder / "metadata.csv").write_text("image,stars\n0.jpg,1\n")
    (note,) = index(folder).notes
    assert "no column file_name" in note["detail"]


def test_a_link_to_other_places_is_not_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "metadata.jsonl"
    secret.write_text('{"file_name": "0.jpg", "secret": "yes"}\n')
    (folder / "metadata.jsonl").symlink_to(secret)
    (note,) = (each for each in index(folder).notes if each["kind"] == "skipped")
    assert "outside" in note["detail"]
    with pytest.raises(BadInput, match="no field 'secret'"):
        found(folder, "secret = 'yes'")


def test_parquet_without_its_reader_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "metadata.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"imagescope-agent\[parquet\]"):
        index(folder)


def test_a_damaged_parquet_is_told(folder: Path) -> None:
    pytest.importorskip("pyarrow", reason="pip install 'imagescope-agent[parquet]'")
    (folder / "metadata.parquet").write_bytes(b"PAR1 nothing PAR1")
    (note,) = index(folder).notes
    assert "no Parquet file" in note["detail"]


def test_new_metadata_costs_no_model(folder: Path) -> None:
    first = index(folder)
    as_json_lines(folder)
    again = index(folder)
    assert (first.new, again.new, again.unchanged) == (5, 0, 5) and not again.usage["calls"]
    assert found(folder, "owner = 'Ann'") == ["0.jpg", "trip/2.jpg"]
    assert len(list((folder / ".imagescope").glob("fields.*"))) == 1, "the columns of before are gone"


def test_an_index_of_before_says_which_command_adds_fields(world: World) -> None:
    location = world.folder / ".imagescope"
    content = manifest.read(location)
    manifest.write(location, replace(content, fields={}))
    assert found(world.folder, "name = 'red.png'") == ["red.png"]
    for name in ("date", "owner"):
        with pytest.raises(BadInput, match=rf"field '{name}'.*imagescope index {world.folder}"):
            found(world.folder, f"{name} is missing")
    assert index(world.folder).unchanged == 8
    assert len(found(world.folder, "date is missing and width = 32")) == 8


def damage(location: Path, how: Callable[[bytes], bytes]) -> None:
    (file,) = location.glob("fields.*.safetensors")
    file.write_bytes(how(file.read_bytes()))


@pytest.mark.parametrize(
    "how",
    [lambda data: data[:-1], lambda data: b"", lambda data: data[:-8] + bytes(8), lambda data: b"x" * 500],
)
def test_damaged_fields_are_told_and_nothing_else_is_lost(
    world: World, how: Callable[[bytes], bytes]
) -> None:
    damage(world.folder / ".imagescope", how)
    with pytest.raises(BadInput, match=r"damaged.*imagescope index"):
        found(world.folder, "width = 32")


def test_fields_of_a_stranger_are_checked(world: World) -> None:
    """A file with a right checksum and wrong content."""
    location = world.folder / ".imagescope"
    content = manifest.read(location)
    count = len(content.entries)
    bad: dict[str, dict[str, Any]] = {
        "short": {"0.values": np.zeros(count - 1)},
        "type": {"0.values": np.zeros(count, dtype=np.int16)},
        "codes": {"0.values": np.full(count, 9, dtype=np.int32), "0.words": np.zeros(1, dtype=np.uint8),
                  "0.ends": np.array([0, 1])},
        "bytes": {"0.values": np.zeros(count, dtype=np.int32), "0.words": np.full(1, 255, dtype=np.uint8),
                  "0.ends": np.array([0, 1])},
    }  # fmt: skip
    for name, arrays in bad.items():
        kind = "number" if name in ("short", "type") else "text"
        data = save(arrays, metadata={"fields": json.dumps([["f", kind]])})
        sha = hashlib.sha256(data).hexdigest()
        file = f"fields.{sha[:16]}.safetensors"
        (location / file).write_bytes(data)
        manifest.write(location, replace(content, fields={"file": file, "sha256": sha}))
        with pytest.raises(BadInput, match="damaged"):
            found(world.folder, "f is missing")
    manifest.write(location, replace(content, fields={"file": "../../etc/passwd", "sha256": ""}))
    with pytest.raises(BadInput, match="names no file of fields"):
        FolderCollection.open(world.folder)


def test_damaged_facts_in_the_journal_are_read_again(folder: Path) -> None:
    index(folder)
    base = sqlite3.connect(folder / ".imagescope" / JOURNAL)
    base.execute("update fields set value = ? where rowid = 1", ('{"width": "wide"}',))
    base.execute("update fields set value = ? where rowid = 2", ("nonsense",))
    base.commit()
    base.close()
    index(folder)
    assert len(found(folder, "width >= 40 and height = 20")) == 5

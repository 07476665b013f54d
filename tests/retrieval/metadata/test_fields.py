"""Fields in the index: what files say of themselves, the user's own, and what cannot be used is told."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.retrieval.metadata import own_fields
from tests.retrieval.metadata.fields import found, index


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

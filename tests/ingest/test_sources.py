"""Pictures from elsewhere: file systems of fsspec, archives, a web server, lists; hostile names and sizes."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.ingest import opening, sources
from imagescope_agent.ingest.sources import fetch, folder_for
from tests.ingest.archives import PICTURES, counts, found, png, zipped
from tests.ingest.bucket import bucket_of
from tests.ingest.conftest import ids

fsspec = pytest.importorskip("fsspec", reason="pip install 'imagescope-agent[remote]'")


def test_an_object_store_is_mirrored(bucket: Any, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    assert counts(fetch("memory://bucket/photos", folder)) == (2, 0, 0)
    assert found(folder) == PICTURES
    assert counts(fetch("memory://bucket/photos", folder)) == (0, 2, 0)
    bucket.pipe("/bucket/photos/red.png", png("green"))
    bucket.pipe("/bucket/photos/new.png", png("black"))
    bucket.rm("/bucket/photos/sub/blue é.png")
    assert counts(fetch("memory://bucket/photos", folder)) == (2, 0, 1)
    assert found(folder) == {"red.png": png("green"), "new.png": png("black")}


@pytest.mark.parametrize("mode", ["zip", "tar", "tar.gz"])
def test_an_archive(mode: str, tmp_path: Path) -> None:
    file = tmp_path / f"photos.{mode}"
    if mode == "zip":
        zipped(file, PICTURES)
    else:
        with tarfile.open(file, "w:gz") if mode.endswith("gz") else tarfile.open(file, "w") as archive:
            for name, content in PICTURES.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    assert counts(fetch(str(file), tmp_path / "here")) == (2, 0, 0)
    assert found(tmp_path / "here") == PICTURES


@pytest.mark.parametrize("where", ["local", "memory"])
def test_archives_of_a_pattern_are_a_folder_each(where: str, tmp_path: Path, bucket: Any) -> None:
    for number in (2, 10, 11):
        with io.BytesIO() as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                for name, content in PICTURES.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
            (tmp_path / f"shard-{number:03}.tar").write_bytes(file.getvalue())
            bucket.pipe(f"/bucket/shards/shard-{number:03}.tar", file.getvalue())
    place = str(tmp_path) if where == "local" else "memory://bucket/shards"
    assert counts(fetch(f"{place}/shard-*.tar", tmp_path / "here")) == (6, 0, 0)
    want = {f"shard-{number:03}/{name}": each for number in (2, 10, 11) for name, each in PICTURES.items()}
    assert found(tmp_path / "here") == want
    assert counts(fetch(f"{place}/shard-01*.tar", tmp_path / "some")) == (4, 0, 0)
    with pytest.raises(BadInput, match="0 archives"):
        fetch(f"{place}/part-*.tar", tmp_path / "none")


@pytest.mark.parametrize("where", ["local", "memory", "web"])
def test_archives_of_one_name_in_several_folders_and_one_named_as_a_pattern(
    where: str, tmp_path: Path, bucket: Any, web: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = web[1] if where == "web" else tmp_path
    for name in ("in/a/data.zip", "in/b/data.zip", "in/c/x*.zip"):
        (root / name).parent.mkdir(parents=True)
        bucket.pipe(f"/bucket/{name}", zipped(root / name, PICTURES).read_bytes())
    place = {"local": str(root), "memory": "memory://bucket", "web": web[0]}[where]
    assert counts(fetch(f"{place}/in/*/data.zip", tmp_path / "here")) == (4, 0, 0)
    assert found(tmp_path / "here") == {
        f"{each}/data/{name}": PICTURES[name] for each in "ab" for name in PICTURES
    }
    if where == "web":  # archives are copied, so many bytes in all
        monkeypatch.setattr(opening, "ARCHIVE_BYTES", (root / "in/a/data.zip").stat().st_size)
        assert counts(fetch(f"{place}/in/a/*.zip", tmp_path / "one")) == (2, 0, 0)
        with pytest.raises(BadInput, match="unpack them yourself"):
            fetch(f"{place}/in/*/data.zip", tmp_path / "both")
    else:
        assert counts(fetch(f"{place}/in/c/x*.zip", tmp_path / "there")) == (2, 0, 0)


def test_an_archive_behind_a_web_address_and_single_pictures(web: tuple[str, Path], tmp_path: Path) -> None:
    address, root = web
    zipped(root / "photos.zip", PICTURES)
    assert counts(fetch(f"{address}/photos.zip", tmp_path / "zip")) == (2, 0, 0)
    assert found(tmp_path / "zip") == PICTURES
    fetch(f"{address}/photos/red.png?size=1", tmp_path / "one")
    assert found(tmp_path / "one") == {"red.png": PICTURES["red.png"]}
    fetch(f"{address}/photos/", tmp_path / "listed")
    assert found(tmp_path / "listed") == PICTURES


def test_a_list_of_addresses(web: tuple[str, Path], tmp_path: Path) -> None:
    address, root = web
    (root / "more").mkdir()
    (root / "more" / "red.png").write_bytes(png("orange"))
    lines = ["# ours", f"{address}/photos/red.png", f"{address}/more/red.png", f"{address}/none.png", ""]
    file = tmp_path / "list.txt"
    file.write_text("\n".join(lines))
    report = fetch(str(file), tmp_path / "here")
    assert counts(report) == (2, 0, 0) and [item.id for item in report.skipped] == ["none.png"]
    assert sorted(found(tmp_path / "here").values()) == sorted([PICTURES["red.png"], png("orange")])
    assert counts(fetch(str(file), tmp_path / "here"))[1] == 2


def test_a_source_that_answers_no_more_is_given_up_and_gone_on_with(
    tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        bucket.pipe(f"/bucket/many/{number:02}.png", png("red"))
    opened, real = list[str](), type(bucket)._open

    def failing(self: Any, path: str, *given: Any, **named: Any) -> Any:
        opened.append(path)
        if len(opened) > 8:
            raise OSError("connection reset")
        return real(self, path, *given, **named)

    monkeypatch.setattr(type(bucket), "_open", failing)
    with pytest.raises(BackendUnavailable, match="run this again"):
        fetch("memory://bucket/many", tmp_path / "here")
    assert len(opened) < 8 + 2 * sources.LANES + sources.FAILURES
    monkeypatch.setattr(type(bucket), "_open", real)
    assert counts(fetch("memory://bucket/many", tmp_path / "here")) == (32, 8, 0)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("memory://nowhere", "cannot open"), ("nothing://x", "cannot open"),
        ("http://127.0.0.1:9/x.zip", "cannot open"),
        ("/nowhere/photos.zip", "cannot open"), ("memory://bucket/photos/notes.md", "no picture"),
    ],
)  # fmt: skip
def test_what_is_no_source_is_told_in_a_line(source: str, told: str, bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=told) as caught:
        fetch(source, tmp_path / "here")
    assert "\n" not in str(caught.value) and not (tmp_path / "here").exists()


def test_a_folder_with_other_content_is_left_alone(tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "mine.png").write_bytes(png("red"))
    for place in (tmp_path, tmp_path / "here"):
        if place != tmp_path:
            fetch("memory://bucket/photos/sub", place)
        with pytest.raises(BadInput, match="--into"):
            fetch("memory://bucket/photos", place)


def test_the_folder_has_the_name_of_the_source() -> None:
    named = {
        "s3://bucket/photos/": "photos", "https://h/a/My%20pics.tar.gz?x=1": "My_20pics", "x/y.zip": "y", "s3://b": "b",
        "list.txt": "list", "s3://key:hunter22@bucket/": "bucket", "zip://a::https://u:hunter22@h/b.zip?c#d": "b",
    }  # fmt: skip
    assert {source: str(folder_for(source)) for source in named} == named


def test_the_command_fetches_and_indexes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = zipped(tmp_path / "photos.zip", PICTURES), tmp_path / "here"
    assert cli.main(["index", str(file), "--into", str(folder), "--profile", "mini"]) == 0
    assert "2 pictures fetched" in capsys.readouterr().out
    assert ids(folder) == sorted(PICTURES)
    assert cli.main(["index", str(file), "--into", str(folder), "--watch"]) == 2
    assert cli.main(["index", str(folder), "--into", str(folder)]) == 2


def test_a_bucket_behind_its_own_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("s3fs", reason="pip install 'imagescope-agent[s3]'")
    with bucket_of({f"photos/{name}": content for name, content in PICTURES.items()}) as place:
        monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": place, "anon": True})
        assert counts(fetch("s3://bucket/photos", tmp_path / "here")) == (2, 0, 0)
        assert found(tmp_path / "here") == PICTURES
        assert counts(fetch("s3://bucket/photos", tmp_path / "here")) == (0, 2, 0)
        with pytest.raises(BadInput, match="s3://bucket/nowhere"):
            fetch("s3://bucket/nowhere", tmp_path / "none")

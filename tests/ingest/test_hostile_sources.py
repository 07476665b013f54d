"""Archives, buckets and lists of strangers: names lead nowhere else, sizes are not believed, failures are told."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.ingest.copying import Limits, safe_name
from imagescope_agent.ingest.sources import fetch
from tests.ingest.archives import found, png, zipped


@pytest.mark.parametrize(
    "line", ["/etc/passwd", "file:///etc/passwd", "zip://x::/a.zip", "local://x", "../x.png"]
)
def test_a_list_names_no_file_of_this_machine(line: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(line)
    with pytest.raises(BadInput, match="no address"):
        fetch(str(tmp_path / "list.txt"), tmp_path / "here")
    assert not (tmp_path / "here").exists()


HOSTILE = [
    "../evil.png",
    "/tmp/evil.png",
    "a/../../evil.png",
    "..\\evil.png",
    "C:evil.png",
    "a\x07.png",
    "x" * 300 + ".png",
]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_of_an_archive_lead_nowhere_else(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / f"hostile.{kind}"
    file.parent.mkdir(parents=True)
    if kind == "zip":
        zipped(
            file,
            {**{name: png("black") for name in HOSTILE}, ".hidden.png": png("red"), "good.png": png("red")},
        )
    else:
        with tarfile.open(file, "w") as archive:
            for name in [*HOSTILE, "good.png"]:
                info = tarfile.TarInfo(name)
                info.size = len(png("red"))
                archive.addfile(info, io.BytesIO(png("red")))
            for type_, name in (
                (tarfile.SYMTYPE, "link.png"),
                (tarfile.LNKTYPE, "hard.png"),
                (tarfile.FIFOTYPE, "f.png"),
            ):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = type_, "/etc/passwd"
                archive.addfile(info)
    before = sorted(tmp_path.rglob("*"))
    folder = file.parent / "here"
    fetch(str(file), folder)
    assert "good.png" in found(folder)
    inside = {path for path in tmp_path.rglob("*") if path.is_relative_to(folder)}
    assert sorted(set(tmp_path.rglob("*")) - inside) == before
    assert not any(path.is_symlink() for path in inside) and not Path("/tmp/evil.png").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_such_name_is_used(name: str) -> None:
    assert safe_name(name)[0] == "" and safe_name(name)[1]


def test_a_file_that_says_it_is_small_is_cut_short(tmp_path: Path) -> None:
    file = zipped(tmp_path / "bomb.zip", {"bomb.png": b"\0" * 2**22, "good.png": png("red")})
    report = fetch(str(file), tmp_path / "here", Limits(file_bytes=2**20))
    assert found(tmp_path / "here") == {"good.png": png("red")} and report.skipped[0].id == "bomb.png"
    with pytest.raises(BadInput, match="most-gb"):
        fetch(str(file), tmp_path / "all", Limits(bytes=2**20))
    with pytest.raises(BadInput, match="more than 1 pictures"):
        fetch(str(file), tmp_path / "many", Limits(files=1))


def test_a_lying_size_is_not_believed(tmp_path: Path, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = type(bucket).find

    def small(self: Any, *given: Any, **named: Any) -> Any:
        found = told(self, *given, **named)
        return {path: {**info, "size": 1} for path, info in found.items()} if named.get("detail") else found

    monkeypatch.setattr(type(bucket), "find", small)
    bucket.pipe("/bucket/photos/big.png", b"\0" * 2**21)
    report = fetch("memory://bucket/photos", tmp_path / "here", Limits(file_bytes=2**20))
    assert [item.id for item in report.skipped] == ["big.png"] and "big.png" not in found(tmp_path / "here")


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, bucket: Any) -> None:
    folder, outside = tmp_path / "here", tmp_path / "outside"
    outside.mkdir()
    bucket.rm("/bucket/photos/sub/blue é.png")
    fetch("memory://bucket/photos", folder)
    (folder / "sub").symlink_to(outside)
    bucket.pipe("/bucket/photos/sub/new.png", png("red"))
    with pytest.raises(BadInput, match="a link out"):
        fetch("memory://bucket/photos", folder)
    assert not any(outside.iterdir())

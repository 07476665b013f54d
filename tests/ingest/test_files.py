"""Single files into an index and out of it, by the commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imagescope_agent import cli
from imagescope_agent.api import index_folder
from tests.ingest.conftest import NAMES, draw, ids


def run(*words: object) -> int:
    return cli.main([*map(str, words)])


def test_only_the_files_that_are_named_come_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(folder / "sub" / "new [1].png", "red")
    draw(folder / "other.png", "blue")
    assert run("add", folder, folder / "sub" / "new [1].png") == 0
    assert capsys.readouterr().out.startswith("+ sub/new [1].png\n5 images indexed")
    assert ids(folder) == [*NAMES, "sub/new [1].png"]


def test_what_is_removed_stays_out_until_it_is_added(folder: Path) -> None:
    draw(folder / "a[1].png", "red")
    draw(folder / "a1.png", "green")
    index_folder(folder, progress=False)
    assert run("remove", folder, "a[1].png", folder / "000001.png") == 0
    assert (folder / "a[1].png").exists()
    index_folder(folder, progress=False)
    assert ids(folder) == [
        "000000.png",
        "000002.png",
        "000003.png",
        "a1.png",
    ]  # a name is no pattern of others
    assert run("add", folder, "a[1].png") == 0
    index_folder(folder, progress=False)
    assert ids(folder) == ["000000.png", "000002.png", "000003.png", "a1.png", "a[1].png"]


def test_pictures_are_deleted_only_on_demand_and_links_not_through(folder: Path, tmp_path: Path) -> None:
    draw(folder / "real.png", "red")
    (folder / "link.png").symlink_to("real.png")
    index_folder(folder, progress=False)
    assert run("remove", folder, "link.png", "000000.png", "--delete") == 0
    assert not (folder / "000000.png").exists() and not (folder / "link.png").is_symlink()
    assert (folder / "real.png").exists() and "real.png" in ids(folder)


def test_files_from_elsewhere_are_copied_on_demand_never_over_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = draw(tmp_path / "elsewhere" / "new.png", "red")
    assert run("add", folder, outside) == 2
    assert "--copy" in capsys.readouterr().err
    assert run("add", folder, outside, "--copy") == 0
    assert run("add", folder, outside, "--copy") == 0  # the same file again
    assert ids(folder) == [*NAMES, "new.png"]
    draw(outside, "blue")
    before = (folder / "new.png").read_bytes()
    assert run("add", folder, outside, "--copy") == 2
    assert "rename" in capsys.readouterr().err and (folder / "new.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "none.png"], "none.png"),
        (["add", "notes.txt"], "image"),
        (["add", ".hidden.png"], "hidden"),
        (["remove", "000009.png"], "did you mean"),
        (["remove", *NAMES], "all images"),
        (["remove", "../x.png"], "outside"),
    ],
)
def test_what_cannot_be_done_leaves_the_index_as_it_is(
    folder: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "notes.txt").write_text("no picture")
    draw(folder / ".hidden.png", "red")
    command, *files = words
    assert run(command, folder, *(folder / file if command == "add" else file for file in files)) == 2
    message = capsys.readouterr().err
    assert told in message and message.count("\n") == 1
    assert ids(folder) == NAMES


def test_an_index_that_lies_elsewhere(folder: Path, tmp_path: Path) -> None:
    shutil.rmtree(folder / ".imagescope")
    index_folder(folder, out=tmp_path / "index", progress=False)
    draw(folder / "new.png", "red")
    assert run("add", tmp_path / "index", folder / "new.png") == 0
    assert run("remove", tmp_path / "index", "000000.png") == 0
    assert ids(tmp_path / "index") == [*NAMES[1:], "new.png"]
    assert not (folder / ".imagescope").exists()

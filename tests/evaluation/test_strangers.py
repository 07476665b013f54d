"""Files that other programs wrote: byte order marks, UTF-16, other line ends, other numbers, pictures that are none."""

from __future__ import annotations

import codecs
import json
import os
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import layouts
import pytest

from imagescope_agent import cli
from imagescope_agent.collection.images import scan
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets, trec
from imagescope_agent.evaluation.check import check
from imagescope_agent.evaluation.datasets.annotations import read_csv, read_json, read_jsonl
from imagescope_agent.evaluation.score import is_json, score

MARKED = {
    "utf-8-sig": lambda text: codecs.BOM_UTF8 + text.encode(),
    "utf-16-le": lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
    "utf-16-be": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
    "windows lines": lambda text: text.replace("\n", "\r\n").encode(),
    "all of it": lambda text: codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le"),
}
RUN = "q1 Q0 ü.jpg 1 0.9 x\nq1 Q0 b.jpg 2 0.8 x\nq2 Q0 b.jpg 1 0.9 x\n"


@pytest.mark.parametrize("mark", MARKED)
def test_texts_with_marks_and_other_line_ends(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(MARKED[mark](RUN))
    assert trec.read_run(path) == {"q1": ["ü.jpg", "b.jpg"], "q2": ["b.jpg"]} and not is_json(path)
    assert trec.line_of(path, "q2") == 3
    path.write_bytes(MARKED[mark](RUN.replace("0.8", "much")))
    with pytest.raises(BadInput, match="line 2: expected"):
        trec.read_run(path)
    path.write_bytes(MARKED[mark]('{"a": "ü"}\n'))
    assert read_json(path) == {"a": "ü"} and is_json(path)
    path.write_bytes(MARKED[mark]('{"a": "ü"}\n\n{"a": "b"}\n'))
    assert list(read_jsonl(path)) == [(1, {"a": "ü"}), (3, {"a": "b"})]
    path.write_bytes(MARKED[mark]("name,text\na,ü\n"))
    assert [row for _, row in read_csv(path)] == [{"name": "a", "text": "ü"}]


def test_marks_in_the_middle_and_marks_that_lie(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(codecs.BOM_UTF8 + b'{"a": 1}\n' + codecs.BOM_UTF8 + b'{"a": 2}\n')
    assert [record["a"] for _, record in read_jsonl(path)] == [1, 2]
    path.write_bytes(codecs.BOM_UTF16_LE + b"abc")
    for work in (read_json, trec.read_run, lambda file: list(read_jsonl(file))):
        with pytest.raises(BadInput, match="line 1: not UTF-8 text"):
            work(path)


@pytest.mark.parametrize(
    ("rank", "good"), [("1.0", True), ("1e0", True), ("01", True), ("1.5", False), ("nan", False)]
)
@pytest.mark.parametrize("between", [" ", "\t", "  "])
def test_ranks_however_they_are_written(tmp_path: Path, rank: str, good: bool, between: str) -> None:
    path = tmp_path / "a.run"
    lines = [["q", "Q0", "b", "2.0", "0.5", "x"], ["q", "Q0", "a", rank, "0.5", "x"]]
    path.write_text("".join(between.join(line) + "\n" for line in lines))
    if good:
        assert trec.read_run(path) == {"q": ["a", "b"]}
    else:
        with pytest.raises(BadInput, match="line 2: expected"):
            trec.read_run(path)


NFC, NFD = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder: six different pictures."""
    for number in range(layouts.COLOURS):
        layouts.draw(tmp_path / "own" / f"{number}.png", number)
    return tmp_path / "own"


def asks(folder: Path, *queries: dict[str, Any]) -> Any:
    layouts.write_lines(folder / "metadata.jsonl", list(queries))
    return datasets.load("folder", folder)


@pytest.mark.parametrize(("stored", "written"), [(NFC, NFD), (NFD, NFC)])
def test_names_in_either_unicode_form(own: Path, tmp_path: Path, stored: str, written: str) -> None:
    (own / "0.png").rename(own / stored)
    query = {"query": "x", "relevant": [written], "qid": written}
    benchmark = asks(own, query, {"query": "y", "relevant": ["1.png"], "reference": written})
    assert benchmark.queries[0].relevant == (stored,) and benchmark.queries[1].reference == stored
    run = tmp_path / "a.run"
    run.write_text(f"{stored} Q0 {written} 1 0.9 x\n")
    assert score("folder", root=own, run_file=run)["metrics"]["final"]["all"]["R@1"] == 100.0
    run.write_text(f"2 Q0 {written} 1 0.9 x\n2 Q0 {stored} 2 0.8 x\n")
    with pytest.raises(BadInput, match="two Unicode forms"):
        score("folder", root=own, run_file=run)


def test_a_folder_is_measured_by_the_pictures_that_are_indexed(own: Path) -> None:
    (own / "1.png").rename(own / "no ending")
    (own / "2.png").rename(own / "2.txt")
    (own / "page.jpg").write_text("<html>not found</html>")
    (own / "empty.png").write_bytes(b"")
    layouts.draw(own / "@eaDir/thumb.png", 1)
    benchmark = asks(own, {"query": "x", "relevant": ["no ending"]})
    files = benchmark.open_galleries()["images"].files
    assert set(files) == {"0.png", "no ending", "2.txt", "3.png", "4.png", "5.png"}
    assert set(files) <= {item.id for item in scan(own)[0]}


def test_a_copy_of_the_right_picture_is_right(own: Path, tmp_path: Path) -> None:
    shutil.copy(own / "1.png", own / "copy of 1.png")
    shutil.copy(own / "0.png", own / "copy of 0.png")
    benchmark = asks(
        own,
        {"query": "x", "relevant": ["1.png"], "reference": "0.png"},
        {"query": "y", "relevant": ["copy of 0.png"], "reference": "0.png"},
    )
    first, second = benchmark.queries
    assert first.relevant == ("1.png", "copy of 1.png") and first.copies == ("copy of 0.png",)
    assert second.relevant == ("copy of 0.png",) and second.copies == ()  # as its author says
    run = tmp_path / "a.run"
    run.write_text("1 Q0 copy%20of%201.png 1 0.9 x\n")
    assert score("folder", root=own, run_file=run)["metrics"]["final"]["all"]["R@1"] == 100.0


def test_a_query_that_shows_nothing(own: Path) -> None:
    with pytest.raises(BadInput, match="line 1: the query is empty"):
        asks(own, {"query": "\u200b\ufeff", "relevant": ["1.png"]})


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty"), (b"<!DOCTYPE html><html>gone</html>", "a web page")]
)
@pytest.mark.parametrize("name", ["fashioniq", "cirr"])
def test_files_that_are_no_pictures_do_not_pass(
    layout: Any, tmp_path: Path, content: bytes, why: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / name
    shutil.copytree(layout(name), root)
    spoilt = sorted(path for path in root.rglob("*.png"))[:2]
    for path in spoilt:
        path.write_bytes(content)
    checked = check(name, root)
    told = [line for line in checked.lines if line.startswith("PROBLEM")]
    assert not checked.complete and told and why in told[0] and "; obtain them again from " in told[0]
    assert cli.main(["eval", name, "--root", str(root), "--check"]) == 2
    assert "no pictures" in capsys.readouterr().out


def test_drawing_scenes_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn: list[Any] = []

    def draws(out: Path, seed: int, count: int) -> None:
        drawn.append((seed, count, capsys.readouterr().err))
        raise BadInput("drawn enough")

    monkeypatch.setattr("imagescope_agent.scenes.make.make_world", draws)
    root = tmp_path / "mispelt"
    for dataset in ("scenes", "chat"):
        words = ["eval", dataset, "--root", str(root), "--seed", "7", "--out", str(tmp_path / "out")]
        assert cli.main(words) == 2
        seed, count, said = drawn.pop()
        capsys.readouterr()
        assert (seed, count) == (7, 1000) and said.count("\n") == 1
        assert "drawing 1000 scenes there (seed 7)" in said and repr(str(root)) in said
    assert (
        cli.main(["eval", "scenes", "--root", str(root), "--split", "tri", "--out", str(tmp_path / "out")])
        == 2
    )
    said = capsys.readouterr().err
    assert not drawn and "no split 'tri'" in said and "drawing" not in said
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    assert (
        cli.main(["eval", "scenes", "--root", str(tmp_path / "other"), "--out", str(tmp_path / "out")]) == 2
    )
    assert "scenes make" in capsys.readouterr().err and not drawn and not os.path.exists(root)


def test_a_drawn_world_is_taken_as_it_is(
    drawn: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", "scenes", "--root", str(drawn), "--graph", "nonsense", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "drawing" not in capsys.readouterr().err and json.loads(
        (Path(drawn) / "tir.jsonl").read_text().splitlines()[0]
    )

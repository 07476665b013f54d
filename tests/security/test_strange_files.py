"""Files that a data set, a run or an index should not hold: pipes, devices, folders, loops, half-right JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import datasets
from imagescope_agent.evaluation.run_store import read_records
from tests.security.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """With a folder of pictures."""
    return Sandbox(tmp_path / "sandbox", monkeypatch)


def put(path: Path, kind: str) -> None:
    """Something that is no file in the place of one."""
    if path.is_file():
        path.unlink()
    makers: dict[str, Callable[[], Any]] = {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path.name),
        "device": lambda: path.symlink_to("/dev/zero"),
        "dangling": lambda: path.symlink_to("nowhere"),
    }
    makers[kind]()


KINDS = ("pipe", "folder", "loop", "device")


@pytest.mark.parametrize("kind", KINDS)
def test_a_data_set_of_things_that_are_no_files(sandbox: Sandbox, kind: str) -> None:
    put(sandbox.photos / "metadata.jsonl", kind)
    (sandbox.named / "x.trec").write_text("1 Q0 red.png 1 1.0 x\n")
    for words in (
        ["eval", "folder", "--root", "photos", "--out", "run"],
        ["eval", "folder", "--root", "photos", "--check"],
        ["score", "folder", "--root", "photos", "--run", "x.trec"],
    ):
        code, out, err = sandbox.run(*words)
        assert code == 2 and "metadata.jsonl" in out + err
        sandbox.check(words, code, out, err or "imagescope\n")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_file_that_is_none(sandbox: Sandbox, kind: str) -> None:
    (sandbox.photos / "metadata.jsonl").write_text('{"query": "red", "relevant": ["red.png"]}\n')
    put(sandbox.named / "x.trec", kind)
    told = sandbox.run("score", "folder", "--root", "photos", "--run", "x.trec")
    assert told[0] == 2 and "x.trec" in told[2]
    sandbox.check(kind, *told)


@pytest.fixture
def finished(sandbox: Sandbox) -> Callable[[], tuple[int, str, str]]:
    """A command that goes on with a finished run in run/."""
    (sandbox.photos / "metadata.jsonl").write_text(
        '{"query": "red", "relevant": ["red.png"]}\n{"query": "blue", "relevant": ["blue.png"]}\n'
    )
    words = ["eval", "folder", "--root", "photos", "--out", "run", "--graph", "retrieve"]
    words += ["--profile", "mine.toml"]
    assert sandbox.run(*words)[0] == 0
    return lambda: sandbox.run(*words)


@pytest.mark.parametrize("kind", [*KINDS, "dangling"])
@pytest.mark.parametrize("name", ["run.json", "per_query.jsonl", "metrics.json", "report.html", ".lock"])
def test_a_run_folder_of_things_that_are_no_files(
    sandbox: Sandbox, finished: Callable[[], tuple[int, str, str]], kind: str, name: str
) -> None:
    put(sandbox.named / "run" / name, kind)
    sandbox.check((kind, name), *finished())
    for words in (["compare", "run", "run"], ["eval", "chat", "--pool", "run", "--out", "pooled"]):
        sandbox.check((kind, name, words), *sandbox.run(*words))


RECORD: dict[str, Any] = {
    **{"qid": "1", "text": "red", "reference": None, "subsets": [], "group": None, "turn": 0, "failed": None},
    **{"degraded": False, "stages": {"final": ["red.png"]}, "values": {"final": {"rank": 1.0, "R@1": 1.0}}},
    **{"usage": {}, "notes": []},
}
STRANGE: dict[str, list[Any]] = {
    "qid": [["1"], None, {}, 1],
    "stages": [[], {"final": "red.png"}, {"final": [["red.png"]]}, {"final": [None]}],
    "values": [
        {"final": 3},
        {"final": {"R@1": "x"}},
        {"final": {"R@1": [1]}},
        {"final": {"R@1": 10**400}},
        [],
    ],
    "usage": [[], {"calls": [1]}, {"calls": {"judge": "many"}}, {"seconds": 10**400}],
    "notes": [{}, "no", [3], [{}], [{"kind": []}]],
    "failed": [3, []],
    "degraded": ["yes"],
    "subsets": ["x", [1]],
    "group": [[]],
    "turn": ["0", None],
    "text": [None, 3],
}


@pytest.mark.parametrize("field", STRANGE)
def test_a_record_with_a_value_of_another_kind(
    sandbox: Sandbox, finished: Callable[[], tuple[int, str, str]], field: str
) -> None:
    lines = sandbox.named / "run" / "per_query.jsonl"
    for value in STRANGE[field]:
        lines.write_text(json.dumps({**RECORD, field: value}) + "\n")
        for told in (finished(), sandbox.run("compare", "run", "run")):
            assert told[0] == 2, (value, told)
            sandbox.check((field, value), *told)


def test_bytes_that_are_no_text_in_a_run(
    sandbox: Sandbox, finished: Callable[[], tuple[int, str, str]]
) -> None:
    for name in ("per_query.jsonl", "run.json"):
        file = sandbox.named / "run" / name
        kept = file.read_bytes()
        file.write_bytes(kept.replace(b"red", b"\xff\xfe", 1) + b"\xff\n")
        told = finished()
        assert told[0] == 2 and name in told[2]
        sandbox.check(name, *told)
        file.write_bytes(kept)
    assert finished()[0] == 0


def test_the_records_of_a_run_are_read_as_they_were_written(
    sandbox: Sandbox, finished: Callable[[], tuple[int, str, str]]
) -> None:
    lines = sandbox.named / "run" / "per_query.jsonl"
    assert [record for _, record in read_records(lines)] == [
        json.loads(line) for line in lines.read_text().splitlines()
    ]


QUERY = '{"query": "red", "relevant": ["red.png"], "qid": %s}'


@pytest.mark.parametrize(
    "line",
    [
        *(
            QUERY % odd
            for odd in ('""', '" "', "1.0", "true", "false", "[]", "{}", "[1]", '{"a": 1}', "1e400")
        ),
        *(QUERY % odd for odd in ("9" * 5000, "9" * 300, '"' + "x" * 300 + '"', r'"\ud800"', "NaN")),
        r'{"query": "red \udc80", "relevant": ["red.png"]}',
        r'{"file_name": "red.png", "captions": ["a \uD83D square"]}',
        '{"query": "red", "query": "blue", "relevant": ["red.png"]}',
        '{"file_name": "red.png", "captions": ["a"], "captions": ["b"]}',
        '{"query": "red", "relevant": ["red.png"], "reference": ""}',
        '{"query": "red", "relevant": ["red.png"], "reference": false}',
        '{"query": "red", "relevant": ["red.png"], "kind": ["x"]}',
        '{"query": "red", "relevant": ["red.png"], "kind": 1.5}',
        '{"query": "red", "relevant": ["red.png"], "kind": {"a": 1}}',
        '{"query": "red", "relevant": ["red.png"], "x": ' + "[" * 2000 + "]" * 2000 + "}",
    ],
)
def test_a_query_that_readers_would_understand_differently(sandbox: Sandbox, line: str) -> None:
    (sandbox.photos / "metadata.jsonl").write_text(
        '{"query": "blue", "relevant": ["blue.png"]}\n' + line + "\n"
    )
    with pytest.raises(BadInput, match="line 2") as caught:
        datasets.load("folder", sandbox.photos)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_usual_ids_are_kept(sandbox: Sandbox) -> None:
    lines = (QUERY % '"a b"', QUERY % "7", QUERY % r'"\ud83d\ude00"', QUERY % "null")
    (sandbox.photos / "metadata.jsonl").write_text("\n".join(lines))
    queries = datasets.load("folder", sandbox.photos).queries
    assert [query.qid for query in queries] == ["a b", "7", "\U0001f600", "4"]


def test_a_data_set_behind_links_is_read(sandbox: Sandbox) -> None:
    (sandbox.named / "queries").write_text(QUERY % '"1"')
    (sandbox.photos / "metadata.jsonl").symlink_to("../queries")
    assert len(datasets.load("folder", sandbox.photos).queries) == 1


def test_a_manifest_larger_than_its_vectors_account_for(sandbox: Sandbox) -> None:
    assert sandbox.run("index", "photos", "--profile", "mine.toml")[0] == 0
    manifest = sandbox.photos / ".imagescope" / "imagescope.json"
    with manifest.open("ab") as file:
        file.truncate(900 * 2**20)  # holds no block of the disk, but would all be read
    for hole in ("caption.0123456789abcdef.faiss", "image.0123456789abcdef.faiss"):
        with (manifest.parent / hole).open("wb") as file:
            file.truncate(2**32)
    told = sandbox.run("search", "photos", "red", "--profile", "mine.toml")
    assert told[0] == 2 and "larger than" in told[2]
    sandbox.check("manifest", *told)
    shutil.rmtree(manifest.parent)
    assert sandbox.run("index", "photos", "--profile", "mine.toml")[0] == 0

"""The command line: its answers, its exit codes, its one-line complaints."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent import cli
from imagescope_agent.commands import evaluate, plain, search
from imagescope_agent.errors import BackendUnavailable, BadInput

RESULT: dict[str, Any] = {
    "query": "a red boat",
    "graph": "imagescope",
    "judge": "pairwise",
    "profile": "mini",
    "results": [
        {
            "rank": 1,
            "id": "images/000001.png",
            "path": "/x/images/000001.png",
            "scores": {"retrieve": 0.25, "verify": 1.0, "judge": None},
            "reasons": ["Is there a red boat? Yes (0.98)"],
        }
    ],
    "intent": None,
    "predicates": [],
    "notes": [{"step": "judge", "kind": "fallback", "detail": "read the text instead"}],
    "usage": {
        "calls": {"verifier": 20, "judge": 1},
        "prompt_tokens": 100,
        "completion_tokens": 21,
        "image_prefills": 20,
        "seconds": {"verify": 1.5, "judge": 0.5},
    },
    "run": "r1",
}


def run(*words: str) -> int:
    """The exit code of `imagescope words...`."""
    try:
        return cli.main(words)
    except SystemExit as stop:
        assert isinstance(stop.code, int)
        return stop.code


def one_line(text: str) -> str:
    assert text.count("\n") == 1 and text.endswith("\n"), text
    assert "Traceback" not in text
    return text


def test_help_is_instant_and_imports_no_library_of_models() -> None:
    code = (
        "import sys; from imagescope_agent import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'open_clip', 'faiss', 'langgraph', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in cli.COMMANDS:
        assert name in done.stdout


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    assert f"usage: imagescope {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["serch"],
        ["search"],
        ["search", "folder", "text", "-k", "0"],
        ["search", "folder", "text", "-k", "many"],
        ["search", "folder", "text", "--budget", "-1"],
        ["search", "folder", "text", "--token-budget", "many"],
        ["search", "folder", "\udcff"],
        ["scenes", "make", "--count", "0", "--out", "x"],
        ["scenes", "make", "--seed", "1"],
    ],
)
def test_a_wrong_command_line_is_exit_2_in_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("no folder 'x'; give\none that exists"), 2),
        (BackendUnavailable("the endpoint does not answer; start it"), 3),
        (KeyboardInterrupt(), 130),
        (OSError(errno.ENOSPC, "No space left on device", "out"), 2),
        (OSError(errno.EROFS, "Read-only file system", "out"), 2),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2),
    ],
)
def test_errors_become_one_line_and_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr(search, "run", fail)
    assert run("search", "folder", "text") == code
    assert one_line(capsys.readouterr().err).startswith("imagescope: ")


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(args: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(search, "run", fail)
    with pytest.raises(ZeroDivisionError):
        run("search", "folder", "text")


def test_a_reader_that_stops_early_is_no_error() -> None:
    program = "import sys; from imagescope_agent import cli; sys.exit(cli.main(['graphs']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["graphs", "judges", "profiles"])
def test_lists_have_one_described_line_each(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(len(line.split(maxsplit=1)) == 2 for line in lines)


def test_search_prints_ranking_reasons_notes_and_cost() -> None:
    lines = search.describe(RESULT)
    assert lines[0].split() == ["1", "images/000001.png", "retrieve", "0.250", "verify", "1.000"]
    assert "Is there a red boat? Yes (0.98)" in lines[1]
    assert lines[2] == "note: judge: read the text instead"
    assert "20 verifier, 1 judge" in lines[3] and "20 image prefills, 2.0 s" in lines[3]


def test_nothing_printed_can_move_the_cursor() -> None:
    assert plain("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert plain("Übermut — 猫") == "Übermut — 猫"


@pytest.mark.parametrize(("limit", "code"), [("0.2", 0), ("0.1", 4)])
def test_eval_exits_4_when_more_is_degraded_than_allowed(
    limit: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    def measured(dataset: str, **given: Any) -> dict[str, Any]:
        asked.update(given, dataset=dataset)
        return {"queries": 10, "failed": 1, "degraded": 1}

    monkeypatch.setattr("imagescope_agent.evaluation.evaluate.evaluate", measured)
    words = ["eval", "scenes", "--root", "r", "--out", str(tmp_path), "--limit", "5", "--seed", "3"]
    assert run(*words, "--json", "--max-degraded", limit) == code
    assert json.loads(capsys.readouterr().out)["queries"] == 10
    assert (asked["dataset"], asked["limit"], asked["seed"], asked["graph"]) == ("scenes", 5, 3, "imagescope")


def test_eval_asks_where_to_keep_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("eval", "scenes", "--root", "r") == 2
    assert "--out" in one_line(capsys.readouterr().err)


def test_failed_and_degraded_queries_both_count() -> None:
    assert evaluate.share_degraded({"queries": 8, "failed": 1, "degraded": 3}) == 0.5
    assert evaluate.share_degraded({"queries": 0, "failed": 0, "degraded": 0}) == 0.0


@pytest.mark.parametrize(
    "words",
    [
        ["index", "nowhere"],
        ["search", "nowhere", "a red boat"],
        ["search", "nowhere", "a red boat", "--graph", "imagescop"],
        ["index", "nowhere", "--profile", "minni"],
        ["eval", "sceens", "--root", "r", "--out", "o"],
        ["compare", "nowhere"],
        ["score", "scenes", "--root", "nowhere", "--run", "nothing"],
    ],
)
def test_what_is_not_there_is_exit_2_in_one_line(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    one_line(capsys.readouterr().err)
    assert not list(tmp_path.iterdir())

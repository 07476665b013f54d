"""What the README claims is run: its Python, its commands, its files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from imagescope_agent import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.search(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_screen_is_sentences_picture_commands_and_ten_lines() -> None:
    order = [README.index(mark) for mark in ("docs/demo.png", "make demo", "make test", "```python")]
    assert order == sorted(order)
    assert PYTHON and len([line for line in PYTHON[1].splitlines() if line.strip()]) == 10


@pytest.mark.slow
def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert PYTHON
    monkeypatch.chdir(tmp_path)
    assert cli.main(["scenes", "make", "--seed", "5", "--count", "12", "--out", "demo/collection"]) == 0
    exec(compile(PYTHON[1], "README.md", "exec"), {})
    assert "1\n    images/" in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^    (imagescope .*)$", README, re.MULTILINE))
def test_the_commands_exist_with_their_flags(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(re.split(r"  +", line)[0].replace("[", " ").replace("]", " "))
    actions = [word for word in words[2:3] if words[1] in ("scenes", "train")]
    names = [word for word in words[1:] if word in cli.COMMANDS]
    for name in names:
        with pytest.raises(SystemExit):
            cli.main([name, *actions, "--help"])
        text = capsys.readouterr().out
        assert all(flag in text for flag in words if flag.startswith("-")), (name, text)
    assert names


@pytest.mark.parametrize("target", re.findall(r"\]\(((?!http)[^)#]+)\)", README))
def test_linked_files_are_there(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_layout_names_real_places() -> None:
    tree = README.split("## Layout")[1].split("\n\n")[1]
    for line in tree.splitlines():
        inside = ROOT / "imagescope_agent" if line.startswith(" " * 6) else ROOT
        for name in re.split(r", ?", re.split(r"  +", line.strip())[0]):
            assert (inside / name).exists(), name

"""What README tells to run is run: make demo, make test, its commands and its Python."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from imagescope_agent import cli
from tests.pages import README, ROOT, blocks


def make(*words: str) -> None:
    """Run a target of the Makefile with the running interpreter's programs, as if set-up were done."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("IMAGESCOPE_", "PYTEST_"))
    }
    programs = f"BIN={Path(sys.executable).parent}"
    done = subprocess.run(
        ["make", "--assume-old", ".venv/.ready", programs, *words],
        cwd=ROOT, env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `make demo` has run."""
    folder = tmp_path_factory.mktemp("readme")
    make("demo", f"OUT={folder / 'demo'}")
    return folder


@pytest.mark.slow
def test_make_demo_writes_its_page_and_the_python_runs_on_its_collection(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (demo / "demo" / "index.html").is_file() and (demo / "demo" / "demo.png").is_file()
    monkeypatch.chdir(demo)
    for block in blocks(README, "python"):
        exec(compile(block, "README.md", "exec"), {})
    assert "1\n    images/" in capsys.readouterr().out


@pytest.mark.slow
def test_make_test_runs_tests() -> None:
    make("test", "WORKERS=1", "ARGS=tests/test_registry.py -p no:cacheprovider")


@pytest.mark.slow
def test_the_readmes_commands_run(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for image in sorted((demo / "demo" / "collection" / "images").iterdir())[:8]:
        shutil.copy(image, photos / image.name)
    shutil.copy(photos / "000000.png", photos / "boat.png")
    shutil.copy(photos / "000001.png", photos / "beach.png")
    monkeypatch.chdir(tmp_path)
    lines = [line for block in blocks(README, "sh") for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        # tests/lab/test_screenshots.py serves the page, tests/service and tests/integrations the others
        if words[0] == "imagescope" and words[1] not in ("ui", "serve", "mcp"):
            monkeypatch.setattr(sys, "stdin", io.StringIO("a boat\n"))
            assert cli.main(words[1:]) == 0, line
    assert (tmp_path / "trace.html").is_file()

"""The wheel, installed in an empty environment outside the checkout, is complete and searches."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from imagescope_agent.diagram import AGENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
SOURCES = {"imagescope_agent": "imagescope_agent", "graphs": "imagescope_agent/graphs"} | {
    "prompts": "imagescope_agent/prompts"
}


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints, run away from the checkout."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv(*words: str | Path, cwd: Path) -> None:
    """Run uv from its cache, which `make setup` has filled; ask the registry only for what is not there."""
    assert UV, "uv is missing: make setup"
    try:
        run(UV, "--quiet", "--offline", *words, cwd=cwd)
    except AssertionError:
        run(UV, "--quiet", *words, cwd=cwd)


def source_files() -> set[str]:
    """The package's files as the wheel should name them."""
    return {
        f"{name}/{file.relative_to(ROOT / folder).as_posix()}"
        for folder, name in SOURCES.items()
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and not file.name.startswith(".")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that no leftover of an earlier build is packed and none is left behind."""
    copy = tmp_path_factory.mktemp("source")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / file, copy)
    uv("build", "--wheel", "--build-constraints", "constraints.txt", "--out-dir", copy / "dist", cwd=copy)
    return next((copy / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and its pinned dependencies, nothing else."""
    home = tmp_path_factory.mktemp("elsewhere")
    uv("venv", "--python", sys.executable, home / "venv", cwd=home)
    interpreter = home / "venv" / "bin" / "python"
    uv("pip", "install", "--python", interpreter, "-c", ROOT / "constraints.txt", wheel, cwd=home)
    return interpreter


def test_one_import_name(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"imagescope_agent"}


def test_nothing_is_forgotten(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("imagescope_agent/")}
    assert packed == source_files()


def test_every_graph_loads_by_name(python: Path, tmp_path: Path) -> None:
    code = (
        "import json\nfrom imagescope_agent.registry import graphs, load_graph\n"
        "print(json.dumps([name for name in graphs() if callable(load_graph(name))]))"
    )
    names = json.loads(run(python, "-c", code, cwd=tmp_path))
    answering = {file.stem for file in (ROOT / "graphs").glob("[!_]*.py")} - AGENTS.keys()
    assert set(names) == answering


def test_every_prompt_loads(python: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import PurePosixPath\nfrom imagescope_agent.prompting import load_prompt\n"
        "for path in map(PurePosixPath, sys.argv[1:]):\n"
        "    load_prompt(path.stem, prompt_set=path.parent.name or None)\n"
    )
    prompts = [file.relative_to(ROOT / "prompts").as_posix() for file in (ROOT / "prompts").rglob("*.md")]
    assert prompts
    run(python, "-c", code, *prompts, cwd=tmp_path)


def test_it_draws_indexes_and_searches(python: Path, tmp_path: Path) -> None:
    imagescope = python.with_name("imagescope")
    run(imagescope, "scenes", "make", "--seed", "1", "--count", "8", "--out", "world", cwd=tmp_path)
    run(imagescope, "index", "world", cwd=tmp_path)
    found = json.loads(run(imagescope, "search", "world", "a red boat", "-k", "3", "--json", cwd=tmp_path))
    assert [hit["rank"] for hit in found["results"]] == [1, 2, 3]
    assert all((tmp_path / hit["path"]).is_file() for hit in found["results"])

"""`imagescope bench folder`: indexing and searching somebody's pictures, beside bare loops over the same embedder.

Each command is a process of its own, so its time holds imports and weights and its memory is its own.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import faiss

from imagescope_agent.api import ImageScope
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks import bare
from imagescope_agent.lab.benchmarks.everyday_queries import QUERIES
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.retrieval.images import scan
from imagescope_agent.retrieval.index.indexer import BATCH

COLUMNS = ("what", "how", "CPU s", "s", "peak MB")
MEASURES = ("cpu_s", "s", "peak_mb")
ASKED = tuple(text for texts in QUERIES.values() for text in texts)


def run(
    *, folder: Path, profile: str = "photos", images: int = 1000, repeats: int = 1, searches: int = 20
) -> dict[str, Any]:
    """Index a copy of a folder's first pictures without captions, and search it by `retrieve`.

    Args:
        folder: the pictures.
        profile: whose embedder.
        images: how many.
        repeats: of every command.
        searches: warm ones, of everyday queries.

    Returns:
        {"bench", "machine", "images", "profile", "rows": {"index", "cold search", "warm search"}}; each row is
        {"imagescope", "bare"} of {"cpu_s", "s", "peak_mb"}: medians, without memory where searches are warm.

    Raises:
        BadInput: no picture there.
        RuntimeError: a command fails.
    """
    found = scan(folder)[0][:images]
    if not found:
        raise BadInput(f"there is no picture in {str(folder)!r}; name a folder of photos with --folder")
    with tempfile.TemporaryDirectory(prefix="imagescope-bench-") as place:
        pictures, vectors = Path(place) / "pictures", Path(place) / "bare.faiss"
        pictures.mkdir()
        for number, each in enumerate(found):
            shutil.copy(folder / each.id, pictures / f"{number:06}{Path(each.id).suffix}")
        rows = _rows(pictures, profile, vectors)
        measured = {what: _commands(commands, pictures, repeats) for what, commands in rows.items()}
        measured["warm search"] = _warm(pictures, profile, vectors, searches)
    told = {"images": len(found), "profile": profile, "rows": measured}
    return {"bench": "folder", "machine": machine(), **told}


def _rows(pictures: Path, profile: str, vectors: Path) -> dict[str, dict[str, list[str]]]:
    """The commands of either way; the bare search needs the bare index."""
    own = bare.python("-m", "imagescope_agent.cli")
    return {
        "index": {
            "imagescope": [*own, "index", str(pictures), "--profile", profile, "--captions", "none"],
            "bare": bare.python("-c", bare.INDEX, profile, str(pictures), str(vectors), str(BATCH)),
        },
        "cold search": {
            "imagescope": [*own, "search", str(pictures), ASKED[0], "--graph", "retrieve"],
            "bare": bare.python("-c", bare.EMBED_AND_SEARCH, profile, str(vectors), ASKED[0]),
        },
    }


def _commands(commands: Mapping[str, list[str]], pictures: Path, repeats: int) -> dict[str, dict[str, float]]:
    """Medians of commands in turn; an index is made anew, but the last one stays."""
    costs: dict[str, list[tuple[float, ...]]] = {how: [] for how in commands}
    for _ in range(repeats):
        for how, command in commands.items():
            if "index" in command:
                shutil.rmtree(pictures / ".imagescope", ignore_errors=True)
            seconds, cpu, peak = bare.cost_of(command)
            costs[how].append((cpu, seconds, peak))
    return {
        how: {
            name: round(median(column), 3)
            for name, column in zip(MEASURES, zip(*rows, strict=True), strict=True)
        }
        for how, rows in costs.items()
    }


def _warm(pictures: Path, profile: str, vectors: Path, searches: int) -> dict[str, dict[str, float]]:
    """Searches of one process, in turn, after one that warms up."""
    scope = ImageScope.open(pictures, profile=profile, graph="retrieve", runs=False, traces=False)
    index = faiss.read_index(str(vectors))
    ways: dict[str, Callable[[str], object]] = {
        "imagescope": scope.search,
        "bare": lambda text: bare.search(scope.services.embedder, index, text),
    }
    costs: dict[str, list[tuple[float, float]]] = {how: [] for how in ways}
    for number in range(searches + 1):
        for how, search in ways.items():
            start, used = time.perf_counter(), time.process_time()
            search(ASKED[number % len(ASKED)])
            if number:
                costs[how].append((time.process_time() - used, time.perf_counter() - start))
    return {
        how: {
            name: round(median(column), 4)
            for name, column in zip(MEASURES, zip(*rows, strict=True), strict=False)
        }
        for how, rows in costs.items()
    }


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table."""
    rows = [
        [what, how, *(found.get(name, "") for name in MEASURES)]
        for what, ways in made["rows"].items()
        for how, found in ways.items()
    ]
    told = f"{made['images']} pictures, profile {made['profile']}"
    return "\n\n".join([told, markdown_table(COLUMNS, rows).strip(), describe_machine(made["machine"])])

"""`imagescope demo`: draw a world, index it, search it, and write a page and a picture."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.lab.demo.example import DemoQuery, Example, build_example

SEED, COUNT, PROFILE = 7, 120, "mini"
MOST_TARGETS = 12  # a query that every tenth image satisfies demonstrates nothing


@dataclass(frozen=True, kw_only=True)
class DemoOutput:
    """The files that were written, the examples on them, and the seconds that everything took."""

    page: Path
    picture: Path
    examples: tuple[Example, ...]
    seconds: float


def run_demo(out: Path, *, say: Callable[[str], None], seed: int = SEED, count: int = COUNT) -> DemoOutput:
    """Draw, index, search, and write `out`/index.html and `out`/demo.png.

    Args:
        out: folder for the collection, the page and the picture.
        say: called with one line per step.
        seed: of the drawn world.
        count: images in it.
    """
    from imagescope_agent.api import index_folder
    from imagescope_agent.lab.scenes.make import make_world

    started = time.perf_counter()
    folder = out / "collection"
    say(f"drawing {count} scenes (seed {seed}) in {folder}")
    make_world(folder, seed, count)
    say("indexing them: a caption and two vectors each")
    index_folder(folder, profile=PROFILE, out=None)
    queries = choose(read_queries(folder / "tir.jsonl")) + choose(read_queries(folder / "cir.jsonl"))
    say(f"asking {len(queries)} queries, with CLIP alone and with ImageScope")
    examples = _search(folder, queries)
    seconds = time.perf_counter() - started
    facts = {"images": count, "most": MOST_TARGETS, "seed": seed, "profile": PROFILE, "seconds": seconds}
    page, picture = _write(out, examples, facts)
    return DemoOutput(page=page, picture=picture, examples=examples, seconds=seconds)


def read_queries(file: Path) -> list[DemoQuery]:
    """Read a drawn query file (tir.jsonl or cir.jsonl)."""
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [
        DemoQuery(
            kind=record["kind"],
            text=record["text"],
            reference=record.get("reference"),
            targets=frozenset(record["targets"]),
        )
        for record in records
    ]


def choose(queries: Sequence[DemoQuery]) -> list[DemoQuery]:
    """The first query of each kind that has at least one and at most MOST_TARGETS relevant images."""
    chosen: dict[str, DemoQuery] = {}
    for query in queries:
        if 1 <= len(query.targets) <= MOST_TARGETS:
            chosen.setdefault(query.kind, query)
    return list(chosen.values())


def _search(folder: Path, queries: Sequence[DemoQuery]) -> tuple[Example, ...]:
    from imagescope_agent.api import ImageScope

    baseline = ImageScope.open(folder, profile=PROFILE, graph="retrieve")
    scope = ImageScope.open(folder, profile=PROFILE, graph="imagescope")
    examples = []
    for query in queries:
        before = baseline.search(query.text, image=query.reference, k=20)
        after = scope.search(query.text, image=query.reference, k=20)
        examples.append(build_example(query, before, after, folder))
    return tuple(examples)


def _write(out: Path, examples: tuple[Example, ...], facts: dict[str, object]) -> tuple[Path, Path]:
    from imagescope_agent.lab.demo.contact_sheet import draw_contact_sheet
    from imagescope_agent.lab.demo.page import render

    page, picture = out / "index.html", out / "demo.png"
    write_atomic(page, render(examples, facts))
    draw_contact_sheet(most_changed(examples)).save(picture, optimize=True)
    return page, picture


def most_changed(examples: Sequence[Example]) -> list[Example]:
    """The text and the composed query whose first relevant image rose most."""

    def gain(example: Example) -> int:
        return (example.baseline.first_correct or 21) - (example.rows[-1].first_correct or 21)

    tasks = dict.fromkeys(example.query.task for example in examples)
    return [max((example for example in examples if example.query.task == task), key=gain) for task in tasks]

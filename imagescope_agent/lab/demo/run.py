"""Runs the demonstration and writes its files."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.lab.demo.story import DemoQuery, Story, tell

SEED, COUNT, PROFILE = 7, 120, "mini"
MOST_TARGETS = 12  # a query that every tenth image satisfies shows nothing


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the demonstration made: the page, the picture, the stories on them, seconds for all of it."""

    page: Path
    picture: Path
    stories: tuple[Story, ...]
    seconds: float


def run_demo(out: Path, *, say: Callable[[str], None], seed: int = SEED, count: int = COUNT) -> Shown:
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
    stories = _search(folder, queries)
    seconds = time.perf_counter() - started
    facts = {"images": count, "most": MOST_TARGETS, "seed": seed, "profile": PROFILE, "seconds": seconds}
    page, picture = _write(out, stories, facts)
    return Shown(page=page, picture=picture, stories=stories, seconds=seconds)


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
    """The first query of each kind that has a right image, but not too many."""
    chosen: dict[str, DemoQuery] = {}
    for query in queries:
        if 1 <= len(query.targets) <= MOST_TARGETS:
            chosen.setdefault(query.kind, query)
    return list(chosen.values())


def _search(folder: Path, queries: Sequence[DemoQuery]) -> tuple[Story, ...]:
    from imagescope_agent.api import ImageScope

    baseline = ImageScope.open(folder, profile=PROFILE, graph="retrieve")
    scope = ImageScope.open(folder, profile=PROFILE, graph="imagescope")
    stories = []
    for query in queries:
        before = baseline.search(query.text, image=query.reference, k=20)
        after = scope.search(query.text, image=query.reference, k=20)
        stories.append(tell(query, before, after, folder))
    return tuple(stories)


def _write(out: Path, stories: tuple[Story, ...], facts: dict[str, object]) -> tuple[Path, Path]:
    from imagescope_agent.lab.demo.page import render
    from imagescope_agent.lab.demo.sheet import draw_sheet

    page, picture = out / "index.html", out / "demo.png"
    page.write_text(render(stories, facts), encoding="utf-8")
    draw_sheet(most_changed(stories)).save(picture, optimize=True)
    return page, picture


def most_changed(stories: Sequence[Story]) -> list[Story]:
    """One text and one composed query: where the first right image rose most (the page shows all of them)."""

    def gain(story: Story) -> int:
        return (story.baseline.first_correct or 21) - (story.rows[-1].first_correct or 21)

    tasks = dict.fromkeys(story.query.task for story in stories)
    return [max((s for s in stories if s.query.task == task), key=gain) for task in tasks]

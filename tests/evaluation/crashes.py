"""Run by test_crashes.py: evaluate in forked children that are killed, and compare what the next run makes.

    python -m tests.evaluation.crashes ROOT OUT SEED COUNT    SIGKILL at COUNT random moments, each in its own folder

Each time the next run must leave the same bytes as an undisturbed one, and ask no kept query again. Prints a
JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.runner import SystemAnswer
from tests.crashes import Moments, undisturbed

FILES = ("per_query.jsonl", "run.trec", "metrics.json", "report.html", "table.md", "table.tex", "run.json")


class Slow:
    """Takes a moment for every query and writes down what it was asked."""

    def __init__(self, images: list[str], asked: Path) -> None:
        self.images, self.asked = images, asked

    async def answer(self, query: BenchmarkQuery) -> SystemAnswer:
        await asyncio.sleep(random.Random(query.qid).uniform(0, 0.01))
        with self.asked.open("a") as file:
            file.write(query.qid + "\n")
        images = list(self.images)
        random.Random(query.qid).shuffle(images)
        return SystemAnswer(stages={"retrieve": self.images, "final": images}, usage={"calls": {"judge": 1}})


def run(root: Path, out: Path, asked: Path) -> None:
    images = sorted(f"images/{path.name}" for path in (root / "images").iterdir())
    evaluate("scenes", root=root, out=out, system=Slow(images, asked), progress=False, concurrency=4)


def kept(out: Path) -> set[str]:
    """Queries whose whole line is on disk."""
    path = out / "per_query.jsonl"
    whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
    return {json.loads(line)["qid"] for line in whole.splitlines()}


def kill(root: Path, base: Path, seed: int, count: int) -> dict[str, Any]:
    seconds = undisturbed(partial(run, root, base / "whole", base / "all"))
    whole = {name: (base / "whole" / name).read_bytes() for name in FILES}
    moments, kills, resumed, tries = Moments(seed, seconds), 0, 0, 0
    while (kills < count or resumed < count // 4) and tries < 10 * count:
        tries += 1
        out, again = base / f"out{tries}", base / f"again{tries}"
        if not moments.kill(partial(run, root, out, base / f"asked{tries}")):
            continue
        kills += 1
        if before := kept(out):
            resumed += 1
        else:
            moments.later()
        undisturbed(partial(run, root, out, again))
        repeated = before & set(again.read_text().split()) if again.exists() else set()
        assert not repeated, f"try {tries} of seed {seed}: asked again: {repeated}"
        for name in FILES:
            assert (out / name).read_bytes() == whole[name], f"try {tries} of seed {seed}: {name}"
        assert not list(out.glob("*.tmp"))
    return {"killed": kills, "resumed": resumed, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(kill(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))

"""Run by test_shared_store.py: processes that share a database, and one that is killed.

    python -m tests.runs.shared FOLDER URL

Prints a JSON summary.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from imagescope_agent.api import ImageScope
from tests.api_models import think
from tests.conftest import World
from tests.crashes import child, ended


def scope(world: World, url: str, log: Path, *, stuck: bool = False) -> ImageScope:
    """Searches whose models write down that they were asked; the judge of one that is stuck never answers."""

    def told(role: str) -> None:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{role}\n")

    def judge(asked: Any) -> str:
        told("judge")
        time.sleep(600 if stuck else 0.05)
        return "No: not quite"

    def verify(asked: Any) -> list[float]:
        told("verifier")
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.1, 0.9]

    def reason(asked: Any) -> str:
        told("reasoner")
        return think(asked)

    services = world.services(
        reasoner=world.role("reasoner", reason),
        verifier=world.role("verifier", scorer=verify),
        judge=world.role("judge", judge),
    )
    return ImageScope(services, runs=url or False, traces=url or False)


def begin(world: World, url: str, log: Path, run: str) -> None:
    asyncio.run(scope(world, url, log, stuck=True).asearch("a red square", run=run, k=3))


def finish(world: World, url: str, log: Path, run: str, report: Path) -> None:
    found = scope(world, url, log).resume(run)
    report.write_text(json.dumps([hit.id for hit in found.results]), encoding="utf-8")


def whole(world: World, log: Path, report: Path) -> None:
    services = scope(world, "", log).services
    found = ImageScope(services, runs=False).search("a red square", k=3)
    report.write_text(json.dumps([hit.id for hit in found.results]), encoding="utf-8")


def main(folder: Path, url: str) -> None:
    folder.mkdir(parents=True)
    world, first, second = World(folder / "world"), folder / "first", folder / "second"
    stuck = child(partial(begin, world, url, first, "r"))
    while not first.is_file() or "judge" not in first.read_text():
        time.sleep(0.02)
    reports = [folder / f"report{number}" for number in range(2)]
    waiting = child(partial(finish, world, url, second, "r", reports[0]))
    time.sleep(0.5)  # it waits: the run is another's
    early = second.exists()
    os.kill(stuck, signal.SIGKILL)
    os.waitpid(stuck, 0)
    other = child(partial(finish, world, url, second, "r", reports[1]))
    codes = [ended(waiting), ended(other)]
    undisturbed = child(partial(whole, world, folder / "third", folder / "undisturbed"))
    codes.append(ended(undisturbed))
    print(
        json.dumps(
            {
                "codes": codes,
                "early": early,
                "found": [json.loads(report.read_text()) for report in reports],
                "undisturbed": json.loads((folder / "undisturbed").read_text()),
                "first": Counter(first.read_text().split()),
                "second": Counter(second.read_text().split()),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

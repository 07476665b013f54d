from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from imagescope_agent.evaluation.runner import SystemAnswer

sys.path.append(str(Path(__file__).parent))  # for the helper beside the tests
import layouts

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings


class FastSystem:
    """Ranks a gallery at once: the relevant images land where `place` says; remembers what it was asked."""

    def __init__(
        self,
        galleries: Any,
        *,
        place: Any = lambda query: 1,
        notes: Any = lambda query: [],
        fails: Any = lambda query: None,
    ) -> None:
        self.galleries, self.place, self.notes, self.fails = galleries, place, notes, fails
        self.asked: list[str] = []

    async def answer(self, query: Any) -> Any:
        self.asked.append(query.qid)
        if problem := self.fails(query):
            raise problem
        images = sorted(self.galleries[query.gallery])
        random.Random(query.qid).shuffle(images)
        rest = [image for image in images if image not in query.relevant]
        start = self.place(query) - 1
        ranking = rest[:start] + list(query.relevant) + rest[start:]
        usage = {"calls": {"verifier": 3}, "prompt_tokens": 10, "completion_tokens": 2, "image_prefills": 1,
                 "seconds": {"retrieve": 0.5}}  # fmt: skip
        return SystemAnswer(
            stages={"retrieve": images, "final": ranking}, notes=self.notes(query), usage=usage
        )


@pytest.fixture
def drawn(tmp_path: Any) -> Any:
    """A small world in the format of the drawn one: 12 pictures, 20 text queries, 10 composed queries, 3
    dialogs."""
    root = tmp_path / "drawn"
    names = [f"images/{number:06d}.png" for number in range(12)]
    for number, name in enumerate(names):
        layouts.draw(root / name, number)
    tir = [
        {"qid": f"tir-{n}", "kind": ("core", "negated")[n % 2], "text": f"text {n}", "predicates": [],
         "targets": [names[n % 12], names[(n + 3) % 12]]}
        for n in range(20)
    ]  # fmt: skip
    cir = [
        {"qid": f"cir-{n}", "kind": ("addition", "removal")[n % 2], "text": f"change {n}", "predicates": [],
         "reference": names[n], "targets": [names[n + 1]]}
        for n in range(10)
    ]  # fmt: skip
    chat = [
        {
            "qid": f"chat-{n}",
            "target": names[n],
            "dialog": [f"caption {n}", "is it red? no", "is it big? yes"],
        }
        for n in range(3)
    ]
    for name, records in (("tir", tir), ("cir", cir), ("chat", chat), ("scenes", [])):
        layouts.write_lines(root / f"{name}.jsonl", records)
    return root


@pytest.fixture
def images(drawn: Any) -> Any:
    return {"images": sorted(f"images/{path.name}" for path in (drawn / "images").iterdir())}


@pytest.fixture
def fast_system() -> Any:
    return FastSystem


@pytest.fixture(scope="session")
def shared() -> Any:
    """The folder of official annotation files: IMAGESCOPE_SHARED, or shared/ beside the checkout."""
    folder = Path(SHARED) if SHARED else Path(__file__).resolve().parents[2].parent / "shared"
    if not (folder / "data" / "CIRR").is_dir():
        pytest.skip(
            f"no official annotation files in {folder / 'data'}: set IMAGESCOPE_SHARED to their folder"
        )
    return folder / "data"


@pytest.fixture(scope="session")
def layout(tmp_path_factory: Any) -> Any:
    """The folder of a public data set in its official layout, with a few queries and generated pictures."""
    made = {}

    def root_of(name: Any) -> Any:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            layouts.MAKERS[name](made[name])
        return made[name]

    return root_of

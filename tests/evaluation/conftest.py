import json
import os
import random
from pathlib import Path

import pytest
from PIL import Image

from imagescope_agent.evaluation.runner import Answer


class FastSystem:
    """Ranks a gallery at once: the relevant images land where `place` says; remembers what it was asked."""

    def __init__(self, galleries, *, place=lambda query: 1, notes=lambda query: [], fails=lambda query: None):
        self.galleries, self.place, self.notes, self.fails = galleries, place, notes, fails
        self.asked = []

    async def answer(self, query):
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
        return Answer(stages={"retrieve": images, "final": ranking}, notes=self.notes(query), usage=usage)


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def draw(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    Image.new("RGB", (32, 32), tuple(rng.randrange(256) for _ in range(3))).save(path)


@pytest.fixture
def world(tmp_path):
    """A small world in the format of the drawn one: 12 pictures, 20 text queries, 10 composed queries, 3
    dialogs."""
    root = tmp_path / "world"
    names = [f"images/{number:06d}.png" for number in range(12)]
    for number, name in enumerate(names):
        draw(root / name, number)
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
        write_lines(root / f"{name}.jsonl", records)
    return root


@pytest.fixture
def names(world):
    return {"images": sorted(f"images/{path.name}" for path in (world / "images").iterdir())}


@pytest.fixture
def fast_system():
    return FastSystem


@pytest.fixture(scope="session")
def shared():
    """The folder of official annotation files: IMAGESCOPE_SHARED, or shared/ beside the checkout."""
    named = os.environ.get("IMAGESCOPE_SHARED")
    folder = Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared"
    if not (folder / "data" / "CIRR").is_dir():
        pytest.skip(
            f"the official annotation files are not in {folder / 'data'}: name their folder in IMAGESCOPE_SHARED"
        )
    return folder / "data"

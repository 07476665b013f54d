"""Scripted models that build triplets about pictures of hues: an editor that turns, others that see the hue.

Run by test_triplets.py too: `python -m tests.graphs.triplet_models FOLDER COUNT` kills the builder COUNT times.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.triplets import GRAPH, build_triplets
from tests.crashes import Moments, undisturbed
from tests.lab.training.hues import COUNT, Hues, hues


class Models:
    """Services over a collection of hues.

    Args:
        collection: of `hues`.
        wrong: share of the proposals whose angle is not the target's.
    """

    def __init__(self, collection: Any, wrong: float = 0.25) -> None:
        self.numbers = {
            hashlib.sha256((collection.folder / name).read_bytes()).hexdigest(): int(name[:3])
            for name in collection.ids
        }
        self.wrong = wrong
        self.editor = Scripted(self.edit)
        self.judge = ScriptedScorer(self.score)
        self.verifier = ScriptedScorer(self.verify)
        silent = Role("captioner", Scripted("no"))
        self.services = Services(
            embedder=Hues(),
            collection=collection,
            captioner=silent,
            reasoner=Role("reasoner", Scripted(self.reason)),
            talker=silent,
            verifier=Role("verifier", self.verifier),
            judge=Role("judge", self.judge),
            editor=Role("editor", self.editor),
        )

    def edit(self, asked: Asked) -> str:
        """From the reference to the first neighbour, now and then by a wrong angle."""
        reference, target = (self.numbers[key] for key in asked.images[:2])
        rng = Random(f"{asked.images}")
        if rng.random() < 0.1:
            return '{"target": "none"}'
        angle = (target - reference) * 360 // COUNT % 360
        angle += 120 if rng.random() < self.wrong else 0
        text = f"turn {angle} to {(reference + angle * COUNT // 360) % COUNT}"
        return json.dumps({"target": "A", "type": "modification", "text": text})

    def reason(self, asked: Asked) -> str:
        """What the words ask for, and the one question about it."""
        found = re.search(r"turn \d+ to (\d+)", asked.text)
        assert found is not None
        if '"predicates"' in asked.text:
            return json.dumps({"predicates": [{"question": f"Is it turn to {found[1]}?", "expected": "Yes"}]})
        steps = [{"type": "Modification", "text": found[0]}]
        return json.dumps({"steps": steps, "core": found[0], "enhanced": found[0], "full": found[0]})

    def verify(self, asked: Asked) -> list[float]:
        """Whether the picture has the hue that the question names."""
        found = re.search(r"turn to (\d+)\?", asked.text)
        assert found is not None
        yes = 0.9 if self.numbers[asked.images[0]] == int(found[1]) else 0.1
        return [yes, 1 - yes]

    def score(self, asked: Asked) -> list[float]:
        """The label of the picture that the words lead to."""
        found = re.search(r"turn (\d+)", asked.text)
        assert found is not None and asked.choices is not None
        reference, *shown = (self.numbers[key] for key in asked.images)
        wanted = (reference + int(found[1]) * COUNT // 360) % COUNT
        labels = [label[0] for label in asked.labels if re.fullmatch("[A-Z]:", label)]
        best = labels[shown.index(wanted)] if wanted in shown else asked.choices[0]
        return [0.9 if choice == best else 0.02 for choice in asked.choices]


def build(collection: Any, out: Path, count: int = 60, models: Models | None = None) -> Any:
    """Build triplets with scripted models."""
    made = models or Models(collection)
    return asyncio.run(build_triplets(made.services, out, count, settings=Settings(seed=3)))


def run(models: Models, pair: int = 0, **settings: Any) -> Any:
    """One run of the graph for a pair."""
    graph = load_graph(GRAPH)(models.services)
    return asyncio.run(graph.ainvoke({"pair": pair}, context=Settings(**settings)))


def reached(models: Models) -> Any:
    """The first run whose editor proposes something."""
    models.wrong = 0.0
    return next(each for pair in range(9) if (each := run(models, pair))["dropped"] != "unreachable")


def main(base: Path, count: int) -> dict[str, int]:
    """Kill the builder and compare what it makes in the end."""
    collection = hues(base / "pictures")
    seconds = undisturbed(partial(build, collection, base / "whole.jsonl"))
    whole, moments, kills, tries = (base / "whole.jsonl").read_bytes(), Moments(0, seconds), 0, 0
    while kills < count and tries < 4 * count:
        tries += 1
        out = base / f"out{tries}.jsonl"
        if moments.kill(partial(build, collection, out)):
            kills += 1
            undisturbed(partial(build, collection, out))
            assert out.read_bytes() == whole, tries
    return {"killed": kills, "tries": tries}


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1]), int(sys.argv[2])), sys.stdout)

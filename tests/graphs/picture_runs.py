"""Scripted models and runs of graphs on queries with pictures, shared by their tests."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from imagescope_agent.mllms.role import Role
from imagescope_agent.mllms.scripted import Scripted, ScriptedScorer
from imagescope_agent.registry import graphs, load_graph
from imagescope_agent.settings import Settings
from tests.graphs.imagescope_runs import COLOURS
from tests.graphs.reasoning_colours import ReasoningColours

NAMES = sorted(set(graphs()) - {"mra", "triplets"})  # mra needs an embedder that composes
ASKING = ("adaptive", "imagescope")


def think(*, images: list[int], seen: int = 0) -> Any:
    """A reasoner of several references: an instruction about each of `images`, one predicate beside `seen`."""

    def reply(asked: Any) -> str:
        if not (asked.options and "response_format" in asked.options):
            return "a purple square"
        said = {"core": "a purple square", "enhanced": "a purple square", "full": "a purple square"}
        if asked.options["response_format"].endswith("IntentAnswer"):
            steps = [{"type": "Retention", "text": f"purple like {n}", "image": n} for n in images]
            return json.dumps({"steps": steps or [{"type": "Addition", "text": "a purple square"}], **said})
        question = "Is it purple as the square of the reference?" if seen else "Is it purple?"
        return json.dumps({"predicates": [{"question": question, "expected": "Yes", "reference": seen}]})

    return reply


def services(world: Any, images: list[int], *, seen: int = 0, limit: int | None = None) -> Any:
    """Services whose verifier knows the colour of a candidate, and which take `limit` pictures in a request."""

    def scorer(asked: Any) -> list[float]:
        return [0.9, 0.1] if world.colour(asked) == "purple" else [0.1, 0.9]

    return world.services(
        reasoner=Role("reasoner", Scripted(think(images=images, seen=seen))),
        verifier=Role("verifier", limited(ScriptedScorer(scorer), limit)),
        judge=Role("judge", limited(ScriptedScorer(scorer, "No: not quite"), limit)),
    )


def limited(model: ScriptedScorer, limit: int | None) -> ScriptedScorer:
    """The model, which says that it takes `limit` pictures in a request."""
    object.__setattr__(model, "images_per_request", limit)
    return model


def search(
    served: Any, graph: str = "imagescope", query: str = "the first as the second", **given: Any
) -> Any:
    chosen = {name: given.pop(name) for name in list(given) if name in Settings.__dataclass_fields__}
    asked = {"query": query, **given}
    if graph == "cir_cot":
        served = replace(served, embedder=ReasoningColours("<caption>a<steps>b<conclusion>a purple square"))
    return asyncio.run(load_graph(graph)(served).ainvoke(asked, context=Settings(**chosen)))


def pictured(path: Path, colour: tuple[int, int, int]) -> str:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), colour).save(path)
    return str(path)


def reference_names(count: int) -> list[str]:
    return [f"{colour}.png" for colour in COLOURS[:count]]

"""Scripted answers and runs of the ImageScope graph, shared by its tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from imagescope_agent.registry import load_graph

COLOURS = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"]

ALL = sorted(f"{colour}.png" for colour in COLOURS)


def reasoner(predicates: list[dict[str, str]], text: str = "a red square") -> Callable[[Any], str]:
    """Answers both questions of the reasoner with good JSON."""

    def reply(asked: Any) -> str:
        if asked.options["response_format"] == "IntentAnswer":
            steps = [{"type": "Addition", "text": text}]
            return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})
        return json.dumps({"predicates": predicates})

    return reply


def question(colour: str, expected: str = "Yes") -> dict[str, str]:
    return {"question": f"Is it {colour}?", "expected": expected}


def run(services: Any, query: str = "a red square", reference: str | None = None, **settings: Any) -> Any:
    from imagescope_agent.settings import Settings

    graph = load_graph("imagescope")(services)
    return asyncio.run(graph.ainvoke({"query": query, "reference": reference}, context=Settings(**settings)))


def oracle(world: Any) -> Callable[[Any], list[float]]:
    """Knows the colour of every picture."""
    return lambda asked: [0.9, 0.1] if world.colour(asked) in asked.text else [0.2, 0.8]


def kinds(state: Any) -> list[tuple[str, str]]:
    return [(note["step"], note["kind"]) for note in state["notes"]]

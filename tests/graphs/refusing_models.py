"""Models that refuse requests as servers do, and runs of graphs with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.scripted import Asked
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
from tests.conftest import PALETTE, World

ALL = sorted(f"{colour}.png" for colour in PALETTE)


class Refused(Exception):
    """As a server's client raises it."""

    status_code = 400


def thinker(*questions: str, text: str = "a red square") -> Callable[[Asked], str]:
    """A reasoner that answers in good JSON."""

    def reply(asked: Asked) -> str:
        steps = [{"type": "Addition", "text": f"it is {each}"} for each in questions]
        if (asked.options or {}).get("response_format") == "IntentAnswer":
            return json.dumps({"steps": steps, "core": text, "enhanced": text, "full": text})
        asks = [{"question": f"Is it {each}?", "expected": "Yes"} for each in questions]
        return json.dumps({"predicates": asks})

    return reply


def refusing(*names: str, world: World) -> Callable[[Asked], list[float]]:
    """A verifier that knows colours, but not of these pictures."""

    def score(asked: Asked) -> list[float]:
        if f"{world.colour(asked)}.png" in names:
            raise RequestRefused("the content filter refuses the picture")
        return [0.9, 0.1] if world.colour(asked) in asked.text else [0.2, 0.8]

    return score


def everything(asked: Asked) -> str:
    raise Refused("image input is not supported")


def run(graph: str, services: Any, reference: str | None = None, **settings: Any) -> Any:
    built = load_graph(graph)(services)
    query = {"query": "a red square", "reference": reference}
    return asyncio.run(built.ainvoke(query, context=Settings(k=8, **settings)))


def refusals(state: Any) -> list[tuple[str, str]]:
    return [(note["step"], note["detail"]) for note in state["notes"] if note["kind"] == "refused"]

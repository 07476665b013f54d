"""The mini reasoner knows its drawn world alone: what it makes of photos is told from what it makes of drawings."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from imagescope_agent.mllms.role import Request
from imagescope_agent.nodes.drift import drift
from imagescope_agent.parsing import IntentAnswer, parse_intent
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import NO_REFERENCE, load_prompt
from imagescope_agent.scenes.make import make_world
from imagescope_agent.services import open_embedder_of, open_roles

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("DRAWN_QUERIES", "16"))  # of each sort; the large run takes more
EVERYDAY = [
    "two children building a sandcastle",
    "an elderly man reading a newspaper on a bench",
    "a plate of pasta with basil",
    "a dog catching a frisbee in the park",
    "a kitchen with wooden cabinets and a kettle",
    "skiers on a chairlift",
]


def problems(asked: list[tuple[str, str]]) -> list[str]:
    """What is wrong with the intent of each query, given with what its reference shows; empty where nothing is."""
    profile = load_profile("mini")
    reasoner, embedder = open_roles(profile)["reasoner"], open_embedder_of(profile)
    prompt = load_prompt("understand", prompt_set=reasoner.prompt_set)
    requests = [Request(text=prompt.fill(instruction=query, reference=known)) for query, known in asked]

    async def ask() -> list[str]:
        replies = await reasoner.ask(requests, schema=IntentAnswer)
        found = []
        for (query, known), reply in zip(asked, replies, strict=True):
            reference = "" if known == NO_REFERENCE else known
            found.append(await drift(parse_intent(reply.text), query, reference, prompt.examples, embedder))
        return found

    return asyncio.run(ask())


def test_drawn_queries_are_all_kept(tmp_path: Path) -> None:
    make_world(tmp_path, 11, 4 * COUNT)
    scenes = {
        f"images/{scene['id']}" if "/" not in str(scene["id"]) else scene["id"]: scene
        for scene in map(json.loads, (tmp_path / "scenes.jsonl").read_text().splitlines())
    }
    asked = []
    for name in ("tir", "cir"):
        for line in map(json.loads, (tmp_path / f"{name}.jsonl").read_text().splitlines()[:COUNT]):
            shown = scenes[line["reference"]]["caption"] if "reference" in line else NO_REFERENCE
            asked.append((line["text"], shown))
    found = problems(asked)
    assert len(found) == 2 * COUNT
    assert not any(found), [(query, why) for (query, _), why in zip(asked, found, strict=True) if why]


def test_everyday_queries_are_all_told() -> None:
    found = problems([(query, NO_REFERENCE) for query in EVERYDAY])
    assert all(found), [query for query, why in zip(EVERYDAY, found, strict=True) if not why]

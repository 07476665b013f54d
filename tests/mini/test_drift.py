"""The mini reasoner knows its drawn world alone: what it makes of photos is told from what it makes of drawings."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.mllms.role import ImageRef, Request
from imagescope_agent.nodes.intent.drift import drift
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.prompting import NO_REFERENCE, load_prompt
from imagescope_agent.replies.parsing import IntentAnswer, parse_intent
from imagescope_agent.services import open_embedder_of, open_roles

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("DRAWN_QUERIES", "8"))  # of each sort; the large run takes more
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


def captions(folder: Path, names: list[str]) -> dict[str, str]:
    """What the captioner says of pictures, by name."""
    captioner = open_roles(load_profile("mini"))["captioner"]
    prompt = load_prompt("caption", prompt_set=captioner.prompt_set).fill()
    shown = [ImageRef(name, (folder / name).read_bytes()) for name in names]
    replies = asyncio.run(captioner.ask([Request(text=prompt, images=(each,)) for each in shown]))
    return {name: reply.text for name, reply in zip(names, replies, strict=True)}


def test_drawn_queries_are_all_kept(tmp_path: Path) -> None:
    make_world(tmp_path, 11, 4 * COUNT)
    text, composed = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()[:COUNT]]
        for name in ("tir", "cir")
    )
    shown = captions(tmp_path, sorted({line["reference"] for line in composed}))
    asked = [(line["text"], NO_REFERENCE) for line in text]
    asked += [(line["text"], shown[line["reference"]]) for line in composed]
    found = problems(asked)
    assert len(found) > COUNT
    assert not any(found), [(query, why) for (query, _), why in zip(asked, found, strict=True) if why]


def test_everyday_queries_are_all_told() -> None:
    found = problems([(query, NO_REFERENCE) for query in EVERYDAY])
    assert all(found), [query for query, why in zip(EVERYDAY, found, strict=True) if not why]

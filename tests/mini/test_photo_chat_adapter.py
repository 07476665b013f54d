"""The adapter that ships for photos: its verdicts on photos of another source than those it was taught."""

from __future__ import annotations

import asyncio
import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

import imagescope_agent
from imagescope_agent.lab.training.photo_chat.held_out import area
from imagescope_agent.lab.training.photos.pipeline import VISION_NAME
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.photo_chat.chat import PhotoChat
from imagescope_agent.photo_chat.language import SMOLLM2
from imagescope_agent.prompting import load_prompt
from imagescope_agent.retrieval.embedders.backbones import VISION

SHARED = os.environ.get("IMAGESCOPE_SHARED")  # read before tests are shielded from such settings
PHOTOS = (Path(SHARED) if SHARED else Path(__file__).parents[2].parent / "shared") / "data" / "photos"
ADAPTER = Path(str(imagescope_agent.__file__)).parent / "photos" / "chat"
NEEDED = ("timm", VISION[VISION_NAME].module, SMOLLM2.module, "gguf")
#: What is asked about, by a word that stands in captions of a photo where it is shown.
THINGS = ("dog", "train", "pizza", "man", "cat", "bus", "horse", "bear", "snow", "beach")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PHOTOS.is_dir(), reason=f"no photographs in {PHOTOS}: set IMAGESCOPE_SHARED"),
    pytest.mark.skipif(
        any(find_spec(name) is None for name in NEEDED), reason="pip install 'imagescope-agent[photos]'"
    ),
]


def test_what_is_in_a_photo_is_told_better_than_by_chance() -> None:
    rows = [json.loads(line) for line in (PHOTOS / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    verifier = Role("verifier", PhotoChat(checkpoint=str(ADAPTER)), prompt_set="mini")
    prompt = load_prompt("verify", prompt_set="mini")
    requests, truth = list[Request](), list[bool]()
    for row in rows[::3]:
        data = (PHOTOS / row["file_name"]).read_bytes()
        said = " ".join(row["captions"]).lower().split()
        for thing in THINGS:
            asked = f"Is there {'the ' if thing in ('snow', 'beach') else 'a '}{thing}?"
            requests.append(
                Request(text=prompt.fill(question=asked), images=(ImageRef(row["file_name"], data),))
            )
            truth.append(thing in said or f"{thing}s" in said)
    found = asyncio.run(verifier.choose(requests, ("Yes", "No")))
    assert found.usage["image_prefills"] == len(rows[::3]) and not found.notes
    assert area(truth, [row[0] for row in found.probabilities]) > 0.75

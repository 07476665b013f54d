"""Conversations as people hold them, with what each message means: corrections, no idea, nonsense."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from imagescope_agent.lab.scenes.dialog.utterances import Utterance, idle, utterance
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.text_queries import TEXT_KINDS, text_query
from imagescope_agent.lab.scenes.world import Scene, random_scene

MOST = 8  # standing instructions of a drawn conversation


def conversation(rng: Random, rounds: int) -> dict[str, Any]:
    """{"by": "program", "turns": [turn]} of a first message and `rounds` - 1 more.

    A turn is {"say", "sort"} with "add" and "not", what must stand after it as wanted and as excluded, "gone", what
    must stand no longer, and "idle" where nothing may change.
    """
    scene, query = random_scene(rng), None
    while query is None:
        scene = random_scene(rng)
        query = text_query(scene, rng.choice(TEXT_KINDS), rng)
    facts = list(query.steps)
    turns: list[dict[str, Any]] = [{"say": query.text, "sort": "first", **_meaning(query.steps)}]
    while len(turns) < rounds:
        if rng.random() < 0.4:
            said = idle("", rng)
            turns.append({"say": said.text.strip(), "sort": _sort(said), "idle": True})
            continue
        said, facts, turn = _saying(scene, facts, rng)
        turns.append(turn)
    return {"by": "program", "turns": turns}


def _saying(
    scene: Scene, facts: list[QueryStep], rng: Random
) -> tuple[Utterance, list[QueryStep], dict[str, Any]]:
    while True:
        said = utterance(scene, facts, "", rng)
        update = said.update
        kept = [] if update.new else [f for n, f in enumerate(facts, 1) if n not in update.drop]
        after = [*kept, *(step for step in update.steps if step not in kept)]
        if said.question or not (update.steps or update.drop) or not after or len(after) > MOST:
            continue
        turn = {"say": said.text.strip(), "sort": _sort(said), **_meaning(update.steps)}
        gone = [step.condition.words() for step in facts if step not in after and step.type == "Addition"]
        standing = " ".join(step.condition.words() for step in after).split()
        turn["gone"] = [words for words in gone if not set(words.split()) <= set(standing)]
        return said, after, turn


def _sort(said: Utterance) -> str:
    acts = list(dict.fromkeys(act for _, act in said.pieces))
    telling = [act for act in acts if act != "aside"]
    return " and ".join(telling or acts)


def _meaning(steps: Sequence[QueryStep]) -> dict[str, list[str]]:
    return {
        "add": [step.condition.words() for step in steps if step.type != "Removal"],
        "not": [step.condition.words() for step in steps if step.type == "Removal"],
    }

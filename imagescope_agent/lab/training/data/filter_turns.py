"""Training turns of filters: whether a message limits the search by fields of images, in which words, and how."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.dialog import idle_phrases
from imagescope_agent.lab.scenes.dialog.filter_values import drawn_fields
from imagescope_agent.lab.scenes.dialog.filtering import Limit, limit, limited_wish
from imagescope_agent.lab.scenes.dialog.informing import saying
from imagescope_agent.lab.scenes.dialog.messages import accumulated_steps
from imagescope_agent.lab.scenes.dialog.utterances import polite, stranger_wish
from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.turn import TrainingTurn, compact_json, fill_prompt
from imagescope_agent.lab.training.data.understanding_turns import random_query

#: The fixed parts of the answers as single tokens.
FILTER_TOKENS = ('{"change":"', '","words":"', '","filter":"', '"}')


def filter_turn(rng: Random) -> TrainingTurn:
    """From the fields of a made-up collection and a message to the limit in it; nearly half have none."""
    kind = rng.random()
    if kind < 0.42:
        message = wish(rng)
        message = "".join(words for words, _ in polite(message, "wish", rng))
        return _turn([field.told for field in drawn_fields(rng)], message.strip(), "keep")
    if kind < 0.74:
        found = limit(rng)
        return _limited(found.words, found, rng)
    message, found = limited_wish(wish(rng), rng)
    return _limited(message, found, rng)


def wish(rng: Random) -> str:
    """What a message says of the wanted picture."""
    kind = rng.random()
    if kind < 0.15:
        return stranger_wish(rng).message
    if kind < 0.4:
        return random_query(rng)[0].text
    scene = random_scene(rng)
    return saying(scene, accumulated_steps(scene, rng), rng)[0].message


def _limited(message: str, found: Limit, rng: Random) -> TrainingTurn:
    start = message.index(found.words)
    before = rng.choice(idle_phrases.OPENINGS) if rng.random() < 0.15 else ""
    after = rng.choice((".", "!", " please", ", please", "?")) if rng.random() < 0.15 else ""
    upper = rng.random() < 0.4 and not before
    message = message[:1].upper() + message[1:] if upper else message
    words = message[start : start + len(found.words)]
    return _turn(found.fields, f"{before}{message}{after}".strip(), found.change, words, found.filter)


def _turn(fields: Sequence[str], message: str, change: str, words: str = "", meant: str = "") -> TrainingTurn:
    prompt = fill_prompt(
        "filter", today="", standing="", fields="\n".join(f"- {each}" for each in fields), message=message
    )
    answer = compact_json({"change": change, "words": words, "filter": meant})
    return TrainingTurn(prompt=prompt, answer=answer, kind="talk")

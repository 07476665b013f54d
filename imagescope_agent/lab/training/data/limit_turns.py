"""Training turns of limits: what a message says of a value that images may be limited by."""

from __future__ import annotations

from random import Random

from imagescope_agent.lab.scenes.conditions import NUMBERS
from imagescope_agent.lab.scenes.dialog.filter_values import TEXT_FIELDS, drawn_time
from imagescope_agent.lab.scenes.dialog.filtering import limit, limited_wish
from imagescope_agent.lab.scenes.dialog.informing import saying
from imagescope_agent.lab.scenes.dialog.messages import accumulated_steps
from imagescope_agent.lab.scenes.dialog.utterances import polite, stranger_wish
from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.turn import TrainingTurn, fill_prompt
from imagescope_agent.lab.training.data.understanding_turns import random_query
from imagescope_agent.nodes.chat.language.limits import LABELS, OPERATORS

_TIMELY = ("winter", "in winter", "today", "may", "night", "fall")  # of wishes that speak of no date


def limit_turn(rng: Random) -> TrainingTurn:
    """A possible limit, the message that mentions it, and the label of what it says."""
    kind = rng.random()
    if kind < 0.3:
        return _none(wish(rng), rng)
    if kind < 0.75:
        found = limit(rng)
        message = found.words
    else:
        message, found = limited_wish(wish(rng), rng)
    field, operator, value = rng.choice(found.conditions)
    told = f"without {field}" if value is None else f"{field}: {value}"
    message = "".join(words for words, _ in polite(message, "filter", rng))
    return _turn(told, message, LABELS[OPERATORS.index(operator)])


def wish(rng: Random) -> str:
    """What a message says of the wanted picture."""
    kind = rng.random()
    if kind < 0.15:
        return stranger_wish(rng).message
    if kind < 0.4:
        return random_query(rng)[0].text
    scene = random_scene(rng)
    return saying(scene, accumulated_steps(scene, rng), rng)[0].message


def _none(message: str, rng: Random) -> TrainingTurn:
    """A wish whose words are also values of fields, or that has a limit lifted by nothing in it."""
    words = [word.strip(".,:;!?") for word in message.split()]
    kind, field = rng.random(), rng.choice(("folder", "tags", *sorted(TEXT_FIELDS)))
    if kind < 0.2:
        told = f"without {rng.choice(('any', field, 'date'))}"
    elif kind < 0.4 and (times := [time for time in _TIMELY if time in words]):
        told = f"date: {rng.choice(times)}"
    elif kind < 0.5 and (numbers := [word for word in words if word in NUMBERS]):
        told = f"{rng.choice(('stars', 'rating', 'size'))}: {rng.choice(numbers)}"
    elif kind < 0.6:
        told = f"date: {drawn_time(rng)}"
    else:
        told = f"{field}: {rng.choice([word for word in words if len(word) > 2] or words)}"
    message = "".join(said for said, _ in polite(message, "wish", rng))
    return _turn(told, message, LABELS[-1])


def _turn(told: str, message: str, label: str) -> TrainingTurn:
    prompt = fill_prompt("limit", limit=told, message=message.strip())
    return TrainingTurn(prompt=prompt, answer=label, kind="best")

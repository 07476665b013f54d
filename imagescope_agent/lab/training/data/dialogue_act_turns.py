"""Training turns of dialogue acts: what each part of a message does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import cast

from imagescope_agent.dialogue_acts import ACTS, LABELS, Act, split_message
from imagescope_agent.lab.scenes.conditions import Exists
from imagescope_agent.lab.scenes.dialog import idle_phrases
from imagescope_agent.lab.scenes.dialog.filtering import limit, limited_wish
from imagescope_agent.lab.scenes.dialog.messages import UserMessage, accumulated_steps
from imagescope_agent.lab.scenes.dialog.noun_phrases import slots
from imagescope_agent.lab.scenes.dialog.utterances import Utterance, polite, stranger_wish, utterance
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import Scene, random_scene
from imagescope_agent.lab.training.data.dialogue_turns import random_condition, user_question
from imagescope_agent.lab.training.data.turn import TrainingTurn, fill_prompt, plain_steps
from imagescope_agent.lab.training.data.understanding_turns import random_query
from imagescope_agent.prompting import request_text

NOTHING = UserMessage(message="")
_MARKS = 5  # letters and marks beside a limit that say nothing


def dialogue_act_turns(rng: Random) -> list[TrainingTurn]:
    """For each part of a message as people write them, at most two parts, its dialogue act."""
    scene = random_scene(rng)
    facts = accumulated_steps(scene, rng) if rng.random() < 0.85 else []
    said = utterance(scene, facts, pending_question(scene, facts, rng) if facts else "", rng)
    if (kind := rng.random()) < 0.2:
        wish = stranger_wish(rng).message if facts or rng.random() < 0.3 else random_query(rng)[0].text
        said = replace(said, pieces=tuple(polite(wish, "wish", rng)), update=NOTHING)
    elif kind < 0.34:
        said = replace(said, pieces=tuple(_limiting(said, rng)), update=NOTHING)
    elif kind < 0.38 and (more := more_of(facts, rng)):
        said = replace(said, pieces=tuple(polite(more, "more", rng)), update=NOTHING)
    message = said.text.strip()
    standing = request_text(plain_steps(facts)) or "nothing yet"
    labelled = [each for each in labelled_parts(message, said) if each[1] != "aside" or rng.random() < 0.5]
    return [
        TrainingTurn(
            prompt=fill_prompt(
                "acts", standing=standing, question=said.question or "none", whole=message, part=part
            ),
            answer=LABELS[ACTS.index(act)],
            kind="best",
        )
        for part, act in rng.sample(labelled, min(2, len(labelled)))
    ]


def _limiting(said: Utterance, rng: Random) -> list[tuple[str, str]]:
    """A limit by fields of images, by itself or beside what the message says."""
    if rng.random() < 0.65:
        return polite(limit(rng).words, "filter", rng)
    text = said.text.strip().rstrip(".!?,")
    if said.update.new or any(act not in ("wish", "aside") for _, act in said.pieces):
        text = random_query(rng)[0].text
    message, found = limited_wish(text, rng)
    before, _, after = message.partition(found.words)
    pieces = (before, "wish"), (found.words, "filter"), (after, "wish")
    return [piece for piece in pieces if piece[0]]


def more_of(facts: Sequence[QueryStep], rng: Random) -> str:
    """A request to see more of what is looked for; "" where no kind of thing is."""
    kinds = [fact.condition.pattern for fact in facts if isinstance(fact.condition, Exists)]
    named = [slots(pattern, rng)["many"] for pattern in kinds if pattern.kind]
    return rng.choice(idle_phrases.MORES_OF).format(many=rng.choice(named)) if named else ""


def labelled_parts(message: str, said: Utterance) -> list[tuple[str, Act]]:
    """The parts of a message, each with the act of the piece that gives most of its letters."""
    owners = [act for words, act in said.pieces for _ in words][len(said.text) - len(said.text.lstrip()) :]
    labelled, start = list[tuple[str, Act]](), 0
    for part in split_message(message):
        start = message.index(part, start)
        counted = Counter(owners[start : start + len(part)])
        act = counted.most_common(1)[0][0]
        if said.update.new and counted["withdrawal"]:  # what is said beside it begins a new search
            act = "withdrawal"
        elif counted["filter"] and counted["wish"] > _MARKS:  # the rest of the part must not get lost
            act = "wish"
        labelled.append((part, cast(Act, act)))
        start += len(part)
    return labelled


def pending_question(scene: Scene, facts: Sequence[QueryStep], rng: Random) -> str:
    """A question that may be pending, none in a third of the cases."""
    if rng.random() < 0.33:
        return ""
    asked = user_question(random_condition(scene, facts, rng), facts)
    return "Where is the scene?" if asked == "Where is it?" and rng.random() < 0.5 else asked

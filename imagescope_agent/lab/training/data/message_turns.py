"""Training turns of dialogue state updates from messages as people write them, as a conversation shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from imagescope_agent.dialogue_acts import SAYING
from imagescope_agent.lab.scenes.conditions import Absent, Condition, Exists, InSetting, NotInSetting
from imagescope_agent.lab.scenes.dialog.messages import accumulated_steps
from imagescope_agent.lab.scenes.dialog.utterances import Utterance, polite, stranger_wish, utterance
from imagescope_agent.lab.scenes.queries import QueryStep
from imagescope_agent.lab.scenes.world import random_scene
from imagescope_agent.lab.training.data.dialogue_act_turns import labelled_parts, pending_question
from imagescope_agent.lab.training.data.dialogue_turns import update_turn
from imagescope_agent.lab.training.data.turn import TrainingTurn
from imagescope_agent.nodes.chat.message_commands import plain_answer

_IDLE = 0.15  # of the messages that say nothing; a classifier should have kept them away


def message_update_turn(rng: Random) -> TrainingTurn:
    """From the known facts and a message in any wording to the update of the dialogue state."""
    while True:
        scene = random_scene(rng)
        facts = accumulated_steps(scene, rng)
        said = utterance(scene, facts, pending_question(scene, facts, rng), rng)
        if rng.random() < 0.06:
            wish = stranger_wish(rng)
            said = Utterance(pieces=tuple(polite(wish.message, "wish", rng)), update=wish)
        means = said.update
        if means.steps or means.drop or means.asked or rng.random() < _IDLE:
            return _turn(facts, said, rng)


def _turn(facts: Sequence[QueryStep], said: Utterance, rng: Random) -> TrainingTurn:
    update, text = said.update, said.text.strip()
    parts = labelled_parts(text, said)
    telling = [part for part, act in parts if act in SAYING]
    words = text if len(telling) in (0, len(parts)) or rng.random() < 0.1 else ", ".join(telling)
    asked = said.question if any(act == "answer" for _, act in parts) else "none"
    if update.asked is not None and (answer := plain_answer(words)) and rng.random() < 0.7:
        asked, words = "none", f"{_lower(update.asked.question())} {answer.lower()}"
        update = replace(update, answer="None", steps=(_answered(update.asked, answer), *update.steps))
    return update_turn(facts, update, asked or "none", words)


def _answered(asked: Condition, answer: str) -> QueryStep:
    """What a plain yes or no to a question says."""
    if answer == "Yes":
        return QueryStep("Addition", asked)
    if isinstance(asked, Exists):
        return QueryStep("Removal", Absent(asked.pattern))
    return QueryStep("Removal", NotInSetting(asked.name) if isinstance(asked, InSetting) else asked)


def _lower(question: str) -> str:
    return question[:1].lower() + question[1:]

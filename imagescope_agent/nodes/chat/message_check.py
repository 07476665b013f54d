"""What the talker read in a message, held to how the message says it: wanted or not, and which thing has a property."""

from __future__ import annotations

from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.coverage import is_crossed
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.polarity import is_bare, is_negated
from imagescope_agent.nodes.chat.language.standing_facts import head
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.nodes.intent.drift import is_english
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.state import State

STEP = "fold"


def as_said(
    notes: list[NoteDict],
    steps: Sequence[StepAnswer],
    message: str,
    state: State,
    vocabulary: Vocabulary,
) -> list[StepAnswer]:
    """The steps as the message says them; a note is added for each that was read otherwise.

    What the message negates is a removal, what it only names is none, and what it says of one thing is not said of
    another one. The words of a negation are English ones; a message in another language keeps what the talker read.
    """
    held = list[StepAnswer]()
    for step in steps:
        if step.type != "Removal" and is_negated(step.text, message):
            notes.append(
                note(STEP, "repaired", f"{step.text!r} was to be added, and the message excludes it")
            )
            step = StepAnswer(type="Removal", text=step.text)
        elif step.type == "Removal" and is_bare(step.text, message, vocabulary):
            notes.append(note(STEP, "repaired", f"{step.text!r} was to be left out, and is only named"))
            step = StepAnswer(type="Addition", text=step.text)
        elif step.type == "Removal" and _is_turned(step.text, message, state):
            notes.append(note(STEP, "drifted", f"{step.text!r} was to be left out, and the message does not"))
            continue
        if is_crossed(step.text, message, vocabulary):
            notes.append(note(STEP, "drifted", f"{step.text!r} is said of another thing and was left out"))
            continue
        held.append(step)
    return held


def _is_turned(text: str, message: str, state: State) -> bool:
    """Whether an English message would exclude what stands, though it neither negates it nor takes it back."""
    if has_act(state, "withdrawal", "answer") or is_negated(text, message) or not is_english(message):
        return False
    wanted = (fact["text"] for fact in state["facts"] if fact["type"] != "Removal")
    return any(not Grounding([fact]).ungrounded(head(text)) for fact in wanted)

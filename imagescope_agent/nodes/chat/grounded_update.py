"""Holds what the talker makes of a message to the message: nothing invented, nothing dropped without a reason."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from imagescope_agent.nodes.chat.coverage import with_passed_over
from imagescope_agent.nodes.chat.grounding import Grounding, excludes, same_thing_counted
from imagescope_agent.nodes.chat.polarity import is_negated
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.prompting import NEGATED, NO_REFERENCE, request_text
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import FoldAnswer, StepAnswer
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Fact, State

STEP = "fold"
_SURROUNDINGS = re.compile(r"\b(?:place|setting|background|surroundings?|scenery|scene|where)\b", re.I)


@dataclass(kw_only=True)
class GroundedUpdate:
    """An update of the dialogue state with what was left out of it.

    Attributes:
        update: what may be applied.
        notes: what was left out.
        remarks: what the user is told, a sentence each.
        understood: whether anything was found in the message; the update changes nothing where it was not.
    """

    update: FoldAnswer
    understood: bool = True
    notes: list[NoteDict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


async def ground(
    update: FoldAnswer,
    state: State,
    message: str,
    embedder: Embedder | None,
    vocabulary: Collection[str] = frozenset(),
) -> GroundedUpdate:
    """The update without what neither the message nor the question that it answers gives the ground for.

    Args:
        update: as the talker gave it, with the numbers of `state["facts"]`.
        state: before the update, with the acts of the message.
        message: what was to be folded in.
        embedder: tells whether other words say the same.
        vocabulary: stems of the words that describe the collection; what the message says in them must not be lost.
    """
    told = [message, *_answered(state)]
    found = GroundedUpdate(update=update.model_copy())
    heard = Grounding([message], embedder)
    facts = state["facts"] if _same_topic(found, state, heard) else []
    dropped = _drops(found, facts, state, heard)
    told += [facts[number - 1]["text"] for number in dropped]
    steps = await _grounded_steps(found, Grounding(told, embedder, vocabulary), facts, dropped)
    if not _answered(state):
        found.update.answer = "None"
    if has_act(state, "withdrawal") and not has_act(state, "wish", "correction", "answer") and dropped:
        steps = []
    steps = _with_polarity(found, steps, message)
    if not has_act(state, "withdrawal"):
        known = [*(fact["text"] for fact in facts), *told[1:]]
        steps = await with_passed_over(steps, message, known, embedder, vocabulary)
    replaced = Grounding([facts[number - 1]["text"] for number in dropped], embedder)
    half = dropped and has_act(state, "correction") and _says_more(heard, replaced, vocabulary)
    if not steps and (half or not dropped) and found.update.answer == "None" and found.update.topic == "same":
        dropped, steps = [], _own_words(found, state, message) if update.steps else []
        found.understood = bool(steps) or _repeats(state["facts"], message)
    found.update.steps = steps
    found.update.drop = sorted({*dropped, *_contradicted(found, facts, steps, dropped)})
    _describe(found, state, facts, [message, *told])
    return found


def _answered(state: State) -> list[str]:
    """What the question asks for, in its words and as predicates, where the message answers it; else nothing."""
    question = state["question"]
    if question is None or not has_act(state, "answer"):
        return []
    return [question["text"], question["asks"], *question.get("also", [])]


def _same_topic(found: GroundedUpdate, state: State, heard: Grounding) -> bool:
    """Whether the topic stays.

    A message all of whose words are about new things turns to no other one, nor does one that takes back nothing, or
    only a fact.
    """
    if found.update.topic == "new":
        covered = Grounding([step.text for step in found.update.steps])
        only_new = heard.words and not any(covered.ungrounded(word) for word in heard.words)
        named = Grounding([state["facts"][n - 1]["text"] for n in _named(state["facts"], heard)])
        only_back = not has_act(state, "wish", "correction", "answer")
        takes_back = (
            only_back and named.words and not any(named.ungrounded(s.text) for s in found.update.steps)
        )
        if only_new or takes_back or not has_act(state, "withdrawal"):
            found.update.topic = "same"
    return found.update.topic == "same"


def _drops(found: GroundedUpdate, facts: Sequence[Fact], state: State, heard: Grounding) -> list[int]:
    """The numbers of the facts that go: those that the message names, corrects or contradicts."""
    numbers = [number for number in found.update.drop if 1 <= number <= len(facts)]
    kept = [number for number in numbers if _is_meant(facts, number, found, state, heard)]
    for number in numbers:
        if number not in kept:
            detail = (
                f"{facts[number - 1]['text']!r} was to be dropped, and the message does not name it; it stays"
            )
            found.notes.append(note(STEP, "drifted", detail))
    if not kept and has_act(state, "withdrawal"):
        kept = _named(facts, heard)
    if not kept and has_act(state, "correction"):
        kept = _replaced(facts, found.update.steps)
    return kept


def _is_meant(
    facts: Sequence[Fact], number: int, found: GroundedUpdate, state: State, heard: Grounding
) -> bool:
    text = facts[number - 1]["text"]
    if _overlap(text, heard) or (_is_place(text) and _SURROUNDINGS.search(heard.told)):
        return True
    steps = found.update.steps
    if _is_place(text) and any(_is_place(step.text) for step in steps):
        return True
    return has_act(state, "correction") and (
        _alike(text, steps) or not any(_alike(f["text"], steps) for f in facts)
    )


def _named(facts: Sequence[Fact], heard: Grounding) -> list[int]:
    """The facts that a withdrawal names best by its words."""
    shared = {number: _overlap(fact["text"], heard) for number, fact in enumerate(facts, 1)}
    if _SURROUNDINGS.search(heard.told):
        shared |= {number: 1 for number, fact in enumerate(facts, 1) if _is_place(fact["text"])}
    most = max(shared.values(), default=0)
    return [number for number, count in shared.items() if most and count == most]


def _alike(text: str, steps: Sequence[StepAnswer]) -> bool:
    """Whether an instruction shares a word with new ones."""
    return any(_overlap(step.text, Grounding([text])) for step in steps)


def _replaced(facts: Sequence[Fact], steps: Sequence[StepAnswer]) -> list[int]:
    """The one fact about the same thing, or the same kind of place, as a correction."""
    heads = {_head(step.text) for step in steps if step.type != "Removal"}
    same = [
        n for n, fact in enumerate(facts, 1) if fact["type"] != "Removal" and _head(fact["text"]) in heads
    ]
    return same if len(same) == 1 else []


def _head(text: str) -> str:
    return "the scene" if _is_place(text) else text.lower().rstrip(". ").rpartition(" ")[2]


def _overlap(text: str, heard: Grounding) -> int:
    """How many words of a text are grounded."""
    words = Grounding([text]).words
    return sum(
        not heard.ungrounded(word) for word in words if word not in ("exactly", "thing", "things", "scene")
    )


def _is_place(text: str) -> bool:
    return text.startswith("the scene ")


async def _grounded_steps(
    found: GroundedUpdate, grounding: Grounding, facts: Sequence[Fact], dropped: Sequence[int]
) -> list[StepAnswer]:
    standing = {(f["type"], f["text"]) for number, f in enumerate(facts, 1) if number not in dropped}
    steps: list[StepAnswer] = []
    for step in found.update.steps:
        if not await grounding.holds(step.text):
            found.notes.append(note(STEP, "drifted", f"{step.text!r} is not in the message and was left out"))
        elif (step.type, step.text) not in standing and step not in steps:
            steps.append(step)
    return steps


def _says_more(heard: Grounding, replaced: Grounding, vocabulary: Collection[str]) -> bool:
    """Whether a correction names something that can be seen, and that what it replaces did not."""
    return any(
        Grounding([word]).stems & set(vocabulary) and replaced.ungrounded(word) for word in heard.words
    )


def _with_polarity(found: GroundedUpdate, steps: Sequence[StepAnswer], message: str) -> list[StepAnswer]:
    """The steps, of which what the message negates is a removal."""
    turned = []
    for step in steps:
        if step.type != "Removal" and is_negated(step.text, message):
            found.notes.append(
                note(STEP, "repaired", f"{step.text!r} was to be added, and the message excludes it")
            )
            step = StepAnswer(type="Removal", text=step.text)
        turned.append(step)
    return turned


def _repeats(facts: Sequence[Fact], message: str) -> bool:
    """Whether a message says again what stands."""
    return any(not Grounding([fact["text"]]).ungrounded(message) for fact in facts)


def _own_words(found: GroundedUpdate, state: State, message: str) -> list[StepAnswer]:
    """The message as one instruction, where nothing that the talker found in it is grounded."""
    if not has_act(state, "wish", "correction") or _repeats(state["facts"], message):
        return []
    text = message.strip(" .,;!?")[:400]
    found.notes.append(
        note(STEP, "fallback", "no instruction was found in the message; its own words were taken")
    )
    return [StepAnswer(type="Removal" if NEGATED.search(text) else "Addition", text=text)]


def _contradicted(
    found: GroundedUpdate, facts: Sequence[Fact], steps: Sequence[StepAnswer], dropped: Sequence[int]
) -> list[int]:
    """The standing facts that a new instruction contradicts, each of which is named to the user."""
    gone = []
    for number, fact in enumerate(facts, 1):
        for step in steps:
            if number not in dropped and contradicts(step.type, step.text, fact):
                gone.append(number)
                found.remarks.append(
                    f'"{spoken(fact)}" no longer holds, since "{spoken(step.model_dump())}" is newer.'
                )
                break
    return gone


def contradicts(kind: str, text: str, fact: Fact) -> bool:
    """Whether a new instruction and a standing fact cannot both hold."""
    if kind == "Removal" and fact["type"] != "Removal":
        return excludes(text, fact["text"])
    if kind != "Removal" and fact["type"] == "Removal":
        return excludes(fact["text"], text)
    return same_thing_counted(text, fact["text"])


def spoken(step: Mapping[str, object]) -> str:
    """One instruction as a person would say it."""
    return request_text([step])


def _describe(found: GroundedUpdate, state: State, facts: Sequence[Fact], told: Sequence[str]) -> None:
    """Describe the target anew from the facts where the talker's descriptions hold something ungrounded."""
    update = found.update
    kept = [fact["text"] for number, fact in enumerate(facts, 1) if number not in update.drop]
    caption = state["reference_caption"]
    known = [*told, *kept, *(step.text for step in update.steps), "" if caption == NO_REFERENCE else caption]
    if facts:
        known.append(state["intent"]["full"])
    grounding = Grounding(known)
    left_out = any(each["kind"] == "drifted" for each in found.notes) or found.remarks
    if not left_out and not any(map(grounding.ungrounded, (update.core, update.enhanced, update.full))):
        return
    standing = [fact for number, fact in enumerate(facts, 1) if number not in update.drop]
    new = [{"type": step.type, "text": step.text} for step in update.steps]
    update.full = update.enhanced = described([*standing, *new])
    update.core = described(new) if any(step["type"] != "Removal" for step in new) else update.full


def described(steps: Iterable[Mapping[str, object]]) -> str:
    """What is visible in an image that fulfils the instructions."""
    texts = [str(step["text"]).rstrip(".") for step in steps if step["type"] != "Removal"]
    things = [text for text in dict.fromkeys(texts) if not _is_place(text)]
    places = [text.removeprefix("the scene ") for text in texts if _is_place(text)]
    listed = " and ".join(filter(None, [", ".join(things[:-1]), *things[-1:]]))
    return " ".join([listed or "a scene", *places[-1:]])

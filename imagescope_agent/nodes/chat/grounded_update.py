"""Holds what the talker makes of a message to the message: nothing invented, nothing dropped without a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imagescope_agent.nodes.chat.act_remarks import misunderstood
from imagescope_agent.nodes.chat.described_target import describe_anew, described
from imagescope_agent.nodes.chat.language.corrections import Correction, changed_fact
from imagescope_agent.nodes.chat.language.coverage import Known, Phrase, phrases, with_passed_over
from imagescope_agent.nodes.chat.language.grounding import Grounding, contradicts
from imagescope_agent.nodes.chat.language.not_taken_up import not_taken_up
from imagescope_agent.nodes.chat.language.relations import lies_somewhere, passed_over_relations, related_to
from imagescope_agent.nodes.chat.language.standing_facts import (
    given_up,
    is_meant,
    is_part_of,
    lies_beside,
    named_facts,
    named_in_full,
    other_things,
    overlap,
    overruled,
    plain,
    plainly,
    replaced,
    says_nothing_new,
    within_relations,
    without_replaced,
)
from imagescope_agent.nodes.chat.language.vocabulary import NO_WORDS, Vocabulary
from imagescope_agent.nodes.chat.message_check import as_said, own_words, repeats, says_more, without_held
from imagescope_agent.nodes.chat.new_search import NEW_SEARCH
from imagescope_agent.nodes.chat.read_message import has_act
from imagescope_agent.prompting import request_text
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import FoldAnswer, StepAnswer
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Fact, State

STEP = "fold"


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


def _misunderstood(state: State, steps: Sequence[StepAnswer], stands: Sequence[str]) -> Iterator[str]:
    """A remark for each part of the message that was not taken up."""
    return map(misunderstood, not_taken_up(state.get("acts", []), [step.text for step in steps], stands))


async def ground(
    update: FoldAnswer,
    state: State,
    message: str,
    embedder: Embedder | None,
    vocabulary: Vocabulary = NO_WORDS,
) -> GroundedUpdate:
    """The update without what neither the message nor the question that it answers gives the ground for.

    Args:
        update: as the talker gave it, with the numbers of `state["facts"]`.
        state: before the update, with the acts of the message.
        message: what was to be folded in.
        embedder: tells whether other words say the same.
        vocabulary: of the collection; what the message says in its words must not be lost.
    """
    found = GroundedUpdate(update=update.model_copy())
    if corrected := changed_fact(state["facts"], state.get("acts", []), vocabulary):
        return _as_corrected(found, corrected, state)
    return await _held_to(found, state, message, embedder, vocabulary)


async def _held_to(
    found: GroundedUpdate, state: State, message: str, embedder: Embedder | None, vocabulary: Vocabulary
) -> GroundedUpdate:
    """As `ground`, of what the talker found."""
    told, given = [message, *_answered(state)], bool(found.update.steps)
    heard = Grounding([message], embedder)
    facts = state["facts"] if _same_topic(found, state, heard, vocabulary) else []
    told_apart = lies_somewhere(message, vocabulary)
    dropped = _drops(found, facts, state, heard, [] if told_apart else phrases(message, vocabulary))
    told += [facts[number - 1]["text"] for number in dropped]
    steps = await _grounded_steps(found, Grounding(told, embedder, vocabulary.stems), facts, dropped)
    if not _answered(state):
        found.update.answer = "None"
    if has_act(state, "withdrawal") and not has_act(state, "wish", "correction", "answer") and dropped:
        steps, dropped = [], sorted({*dropped, *related_to(dropped, facts, vocabulary)})
    steps = as_said((found.notes, found.remarks), steps, message, state, vocabulary)
    dropped, steps = await _completed(heard, told[1:], state, facts, dropped, steps, vocabulary)
    found.notes = without_held(found.notes, steps)
    half = dropped and has_act(state, "correction") and says_more(heard, facts, dropped, vocabulary)
    if not steps and (half or not dropped) and found.update.answer == "None" and found.update.topic == "same":
        dropped, steps = [], own_words(found.notes, state, message, vocabulary) if given else []
        found.understood = bool(steps) or repeats(state["facts"], message)
    else:
        found.remarks += _misunderstood(state, steps, [*told[1:], *(fact["text"] for fact in state["facts"])])
    found.update.steps = steps
    found.update.drop = sorted({*dropped, *_contradicted(found, facts, steps, dropped)})
    left_out = any(each["kind"] in ("drifted", "repaired") for each in found.notes)
    changed = left_out or bool(found.remarks)
    describe_anew(found.update, state, facts, [message, *told], changed=changed)
    return found


def _as_corrected(found: GroundedUpdate, changed: Correction, state: State) -> GroundedUpdate:
    """The update that the message gives by its own words, whatever the talker made of it."""
    old, step = state["facts"][changed.number - 1], StepAnswer(type="Addition", text=changed.text)
    standing = [fact for fact in state["facts"] if fact is not old]
    stands = any(fact["type"] == step.type and fact["text"].lower() == step.text.lower() for fact in standing)
    steps = [] if stands else [step]
    new = {"topic": "same", "answer": "None", "drop": [changed.number], "steps": steps}
    found.update = found.update.model_copy(update=new)
    if changed.doubtful:
        found.remarks.append(f'I took that to be about "{spoken(old)}".')
    elif changed.stated:
        found.remarks.append(_overruled(old, step))
    found.update.core = changed.text
    found.update.full = found.update.enhanced = described([*standing, *(each.model_dump() for each in steps)])
    return found


async def _completed(
    heard: Grounding,
    told: Sequence[str],
    state: State,
    facts: Sequence[Fact],
    dropped: list[int],
    steps: list[StepAnswer],
    vocabulary: Vocabulary,
) -> tuple[list[int], list[StepAnswer]]:
    """The numbers of the facts that go and the steps, with what the message says and the talker passed over."""
    if not (wished := _wished(state, heard.told, new=not facts)):
        return dropped, steps
    known = Known(told, [fact for number, fact in enumerate(facts, 1) if number not in dropped])
    about = next((fact["text"] for fact in reversed(facts) if plain(fact, vocabulary)), "")
    about = "" if lies_beside(wished) else about  # "the ball next to it is red": that of what nobody knows
    steps = await with_passed_over(steps, wished, known, heard.embedder, vocabulary, about=about)
    steps += passed_over_relations(steps, known.of("Addition"), wished, vocabulary)
    said = phrases(wished, vocabulary, about=about)
    gone, steps = overruled(facts, steps, said, vocabulary)
    gone = gone or (replaced(facts, steps) if has_act(state, "correction") and not dropped else [])
    dropped = sorted({*dropped, *gone})
    old = [facts[number - 1] for number in dropped]
    steps = steps if has_act(state, "withdrawal") else within_relations(old, steps, said, vocabulary)
    return dropped, without_replaced(steps, old)


def _wished(state: State, message: str, *, new: bool) -> str:
    """The parts of a message that say what is wanted or not, without what takes something back; all of a new search."""
    if not has_act(state, "withdrawal") or (new and not has_act(state, "wish", "correction", "answer")):
        return message
    return ", ".join(p["text"] for p in state["acts"] if p["act"] in ("wish", "correction", "answer"))


def _answered(state: State) -> list[str]:
    """What the question asks for, in its words and as predicates, where the message answers it; else nothing."""
    question = state["question"]
    if question is None or not has_act(state, "answer"):
        return []
    return [question["text"], question["asks"], *question.get("also", [])]


def _same_topic(found: GroundedUpdate, state: State, heard: Grounding, vocabulary: Vocabulary) -> bool:
    """Whether the topic stays.

    A message all of whose words are about new things turns to no other one, nor does one that takes back nothing, or
    only some of the facts. One that takes back nothing that stands, and wishes something beside it, does, and so does
    one that names other things as if they were a correction.
    """
    facts, acts = state["facts"], state.get("acts", [])
    back = _taken_back(state)
    wishes = ", ".join(part["text"] for part in acts if part["act"] in ("wish", "answer"))
    if not wishes:
        wishes = other_things(facts, [p["text"] for p in acts if p["act"] == "correction"], vocabulary)
    new = Grounding([fact["text"] for fact in facts]).ungrounded(wishes)
    if back.told and new and facts and not named_facts(facts, back):
        found.update.topic = "new"
    elif found.update.topic == "new":
        covered = Grounding([step.text for step in found.update.steps])
        only_new = heard.words and not any(covered.ungrounded(word) for word in heard.words)
        named = Grounding([facts[n - 1]["text"] for n in named_facts(facts, heard)])
        only_back = not has_act(state, "wish", "correction", "answer")
        takes_back = (
            only_back and named.words and not any(named.ungrounded(s.text) for s in found.update.steps)
        )
        some = 0 < len(named_facts(facts, back)) < len(facts)
        if only_new or takes_back or some or not back.told:
            found.update.topic = "same"
    if found.update.topic == "new" and facts:
        found.remarks.append(NEW_SEARCH)
    return found.update.topic == "same"


def _drops(
    found: GroundedUpdate, facts: Sequence[Fact], state: State, heard: Grounding, said: Sequence[Phrase]
) -> list[int]:
    """The numbers of the facts that go: those that the message names, corrects or contradicts.

    Where it says in place of which ones something else is to stand, they are these.
    """
    numbers = [number for number in found.update.drop if 1 <= number <= len(facts)]
    steps = found.update.steps
    kept = [number for number in numbers if is_meant(facts[number - 1]["text"], steps, facts, state, heard)]
    if not kept and not steps and says_nothing_new(facts, said):
        kept = [n for n in numbers if n in named_facts(facts, heard)]
    if named := given_up(facts, said, steps, heard.told):
        others = (spoken(facts[number - 1]) for number in named if number not in numbers)
        found.remarks += (
            f'"{text}" no longer holds, since something else is in its place.' for text in others
        )
        kept = sorted({*named, *(n for n in kept if overlap(facts[n - 1]["text"], heard))})
    if has_act(state, "withdrawal") and not has_act(state, "wish", "correction", "answer"):
        kept = named_in_full(facts, _taken_back(state), kept)
    for number in numbers:
        if number not in kept:
            detail = (
                f"{facts[number - 1]['text']!r} was to be dropped, and the message does not name it; it stays"
            )
            found.notes.append(note(STEP, "drifted", detail))
    if not kept and has_act(state, "withdrawal"):
        kept = named_facts(facts, _taken_back(state)) or named_facts(facts, heard)
    if not kept and has_act(state, "correction"):
        kept = replaced(facts, found.update.steps)
    return kept


def _taken_back(state: State) -> Grounding:
    """The words of the message's withdrawals."""
    return Grounding(part["text"] for part in state.get("acts", []) if part["act"] == "withdrawal")


async def _grounded_steps(
    found: GroundedUpdate, grounding: Grounding, facts: Sequence[Fact], dropped: Sequence[int]
) -> list[StepAnswer]:
    standing = {(f["type"], plainly(f["text"])) for number, f in enumerate(facts, 1) if number not in dropped}
    steps: list[StepAnswer] = []
    for step in found.update.steps:
        if not await grounding.holds(step.text):
            found.notes.append(note(STEP, "drifted", f"{step.text!r} is not in the message and was left out"))
            continue
        known = any(is_part_of(step, text) for kind, text in standing if kind != "Removal")
        if not known and (step.type, plainly(step.text)) not in standing and step not in steps:
            steps.append(step)
    return steps


def _contradicted(
    found: GroundedUpdate, facts: Sequence[Fact], steps: Sequence[StepAnswer], dropped: Sequence[int]
) -> list[int]:
    """The standing facts that a new instruction contradicts, each of which is named to the user."""
    gone = []
    for number, fact in enumerate(facts, 1):
        for step in steps:
            if number not in dropped and contradicts(step.type, step.text, fact):
                gone.append(number)
                found.remarks.append(_overruled(fact, step))
                break
    return gone


def _overruled(fact: Fact, step: StepAnswer) -> str:
    return f'"{spoken(fact)}" no longer holds, since "{spoken(step.model_dump())}" is newer.'


def spoken(step: Mapping[str, object]) -> str:
    """One instruction as a person would say it."""
    return request_text([step])

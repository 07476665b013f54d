"""Which predicate checks which instruction, by the words that both have.

A model is asked for the predicates of several instructions in one call, and keeps to their order only mostly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.prompting import NEGATED
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import unique_predicates
from imagescope_agent.state import Instruction, Predicate

_SIDE = re.compile(r"\b(left of|right of|above|below|behind|in front of|under|over)\b", re.I)

_THING = re.compile(rf"(an? (?!(?:{'|'.join(NUMBERS[1:])})\b))?(?!the\b|an? )[\w' -]+(?(1)|(?<!s)s)", re.I)
_CUT = re.compile(
    rf"(?:ing|\b(?:{'|'.join([*PREPOSITION, 'through', 'off', 'up', 'down', 'out', 'away', 'to', 'of', 'with'])}))$",
    re.I,
)


def suited_predicates(
    predicates: Sequence[Predicate], steps: Sequence[Instruction]
) -> tuple[list[Predicate], list[NoteDict]]:
    """As `unique_predicates`, of contradicting ones the one that suits its instruction; in order, and notes.

    Of one question that is expected both Yes and No, the answer stays that suits the instruction with the question's
    words: No where that is a removal, else Yes. Where no instruction has its words, the first stays. A question without
    a negation that has just the words of one instruction gets the answer that suits it, and one that turns two things
    round ("a cat left of a boat" of "a boat left of a cat") the order of its instruction.

    Args:
        predicates: as they came.
        steps: the instructions that they check.
    """
    kept, notes = list(predicates), list[NoteDict]()
    for predicate in predicates:
        if predicate not in kept:
            continue
        against = [each for each in kept if _asks(each) == _asks(predicate) and _differ(each, predicate)]
        named = _named(predicate, steps)
        if not against or named is None or predicate["expected"] != _suits(steps[named]):
            continue
        kept = [each for each in kept if each not in against]
        detail = f"{predicate['question']!r} is expected both Yes and No; {predicate['expected']!r} was kept"
        notes.append(note("predicates", "contradiction", detail))
    unique, more = unique_predicates(kept, len(steps))
    answered = [_answered(_in_order(each, steps), steps) for each in unique]
    turned = [each for each in answered if each not in unique]
    details = [
        f"{each['question']!r} was asked or expected otherwise than its instruction says" for each in turned
    ]
    return answered, [*notes, *more, *(note("predicates", "contradiction", detail) for detail in details)]


def checks_of(
    predicates: Sequence[Predicate], steps: Sequence[Instruction]
) -> tuple[list[Predicate], list[NoteDict]]:
    """As `suited_predicates`, and a question about each thing ("a red car", "two cars") that no question is about.

    Another instruction without a question ("the scene in the snow") leaves a note alone. Where there are no predicates
    at all, nothing is added.

    Args:
        predicates: as they came.
        steps: the instructions that they check.
    """
    kept, notes = suited_predicates(predicates, steps)
    own = assigned(kept, steps)
    for step in [step for step, found in zip(steps, own, strict=True) if not found]:
        words = content_words(step["text"])
        if not kept or any(words <= content_words(each["question"]) for each in kept):
            continue
        if question := _asking(step["text"].rstrip(". ")):
            kept.append({"question": question, "expected": _suits(step)})
            detail = f"no question was about {step['text']!r}; {question!r} is asked"
            notes.append(note("predicates", "repaired", detail))
        else:
            notes.append(note("predicates", "unchecked", f"no question is about {step['text']!r}"))
    return kept, notes


def _asking(text: str) -> str:
    """The question for "a red car" or "two cars"; "" for what names no thing, or breaks off ("a man wearing")."""
    if _CUT.search(text) or not (found := _THING.fullmatch(text)):
        return ""
    return f"{'Is' if found[1] else 'Are'} there {text}?"


def _in_order(predicate: Predicate, steps: Sequence[Instruction]) -> Predicate:
    """The predicate about two things in the order of its instruction."""
    asked, said = _beside(predicate["question"]), [_beside(step["text"]) for step in steps]
    if asked is None or asked in said or asked[::-1] not in said:
        return predicate
    return {**predicate, "question": f"Is there {steps[said.index(asked[::-1])]['text']}?"}


def _beside(text: str) -> tuple[object, ...] | None:
    """What lies where, and beside what, of a text that says it of two things."""
    parts = _SIDE.split(text)
    if len(parts) != 3:
        return None
    one, side, other = parts
    return frozenset(content_words(one)), side.lower(), frozenset(content_words(other))


def _answered(predicate: Predicate, steps: Sequence[Instruction]) -> Predicate:
    """The predicate with the answer that suits the one instruction that has just its words."""
    words = content_words(predicate["question"])
    said = {_suits(step) for step in steps if content_words(step["text"]) == words}
    if not words or len(said) != 1 or NEGATED.search(predicate["question"]):
        return predicate
    return {**predicate, "expected": said.pop()}


def assigned(predicates: Sequence[Predicate], steps: Sequence[Instruction]) -> list[list[Predicate]]:
    """The predicates of each instruction, in the order of the instructions.

    A predicate belongs to the instruction that has the most of its content words and the fewest others, of equal ones
    to one that its answer suits, of these to that at its own place, else the first. One whose words no instruction has
    belongs to the one at its place, where that has none yet, else to the first that has none, else to the last.
    """
    own: list[list[Predicate]] = [[] for _ in steps]
    if not steps:
        return own
    other: list[tuple[int, Predicate]] = []
    for place, predicate in enumerate(predicates):
        named = _named(predicate, steps, place)
        if named is None:
            other.append((place, predicate))
        else:
            own[named].append(predicate)
    for place, predicate in other:
        without = [number for number, found in enumerate(own) if not found]
        at = place if place in without else (without or [len(steps) - 1])[0]
        own[at].append(predicate)
    return own


def is_asked(step: Instruction, predicates: Sequence[Predicate]) -> bool:
    """Whether a question has all words of an instruction, with the answer that suits it."""
    words = content_words(step["text"])
    return any(
        words <= content_words(each["question"]) and each["expected"] == _suits(step) for each in predicates
    )


def _named(predicate: Predicate, steps: Sequence[Instruction], place: int = 0) -> int | None:
    """The index of the instruction that has the most of a question's words, and the fewest others; None for none."""
    asked, told = content_words(predicate["question"]), [content_words(step["text"]) for step in steps]
    alike = [(len(asked & words), -len(words - asked)) for words in told]
    if not any(shared for shared, _ in alike):
        return None
    best = [number for number, each in enumerate(alike) if each == max(alike)]
    suited = [number for number in best if _suits(steps[number]) == predicate["expected"]] or best
    return place if place in suited else suited[0]


def _suits(step: Instruction) -> str:
    return "No" if step["type"] == "Removal" else "Yes"


def _differ(first: Predicate, second: Predicate) -> bool:
    return first["expected"] != second["expected"]


def _asks(predicate: Predicate) -> str:
    return " ".join(predicate["question"].lower().split()).rstrip(" ?")

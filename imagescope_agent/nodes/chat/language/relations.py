"""How two things lie to each other, as a message says it: "the cat is to the right of the boat"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from imagescope_agent.nodes.chat.language.coverage import Phrase, runs
from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.state import Fact

_SIDE = re.compile(
    r"\b(left of|right of|above|over|on top of|below|under(?:neath)?|beneath)\s+(?=(?:an?|the|that|this)\s)",
    re.I,
)
_SAME = {"over": "above", "on top of": "above", "under": "below", "underneath": "below", "beneath": "below"}
_DENIES = re.compile(
    r"\b(?:not|never|no longer|neither|nor|(?:is|are|was|were|do|does)nt)\b|n['\u2019]t\b", re.I
)
_CLAUSE = re.compile(r"[.,;:!?()\n]|\b(?:and|but|or)\b", re.I)


def relations(message: str, vocabulary: Vocabulary) -> Iterator[str]:
    """Each relation between two different things in a clause: "a cat right of a boat".

    Of a clause that denies something, or says more than one side, none: which things are meant is not told by the order
    of its words.
    """
    for clause in _CLAUSE.split(re.sub(r"['\u2019]s\b", " is", message)):
        sides = list(_SIDE.finditer(clause))
        if len(sides) != 1 or _DENIES.search(clause):
            continue
        first = _thing(clause[: sides[0].start()], vocabulary, -1)
        second = _thing(clause[sides[0].end() :], vocabulary, 0)
        if not first or not second or first.head == second.head or is_negated(first.text, clause):
            continue
        side = sides[0][1].lower()
        yield f"{first.text} {_SAME.get(side, side)} {second.text}"


def passed_over_relations(
    steps: Sequence[StepAnswer], known: Sequence[str], message: str, vocabulary: Vocabulary
) -> list[StepAnswer]:
    """Instructions for the relations of a message whose things no instruction and nothing known names together."""
    told = [*(step.text for step in steps), *known]
    return [
        StepAnswer(type="Addition", text=text)
        for text in relations(message, vocabulary)
        if not any(_heads(text, vocabulary) <= _heads(each, vocabulary) for each in told)
    ]


def _heads(text: str, vocabulary: Vocabulary) -> set[str]:
    return {" ".join(sorted(content_words(each.head))) for each in runs(text, vocabulary) if each.head}


def related_to(gone: Sequence[int], facts: Sequence[Fact], vocabulary: Vocabulary) -> list[int]:
    """The numbers of the relations of things that go with these facts, and that no other fact has."""
    single = [
        (number, fact["text"]) for number, fact in enumerate(facts, 1) if not _SIDE.search(fact["text"])
    ]
    left = [content_words(text) for number, text in single if number in gone]
    stay = [content_words(text) for number, text in single if number not in gone]
    found = list[int]()
    for number, fact in enumerate(facts, 1):
        things = [content_words(each.text) for each in runs(fact["text"], vocabulary) if each.head]
        goes = any(thing <= each for thing in things for each in left if not any(thing <= o for o in stay))
        if goes and _SIDE.search(fact["text"]):
            found.append(number)
    return found


def lies_somewhere(message: str, vocabulary: Vocabulary) -> bool:
    """Whether a message says how two things lie to each other, and so takes none of them back."""
    return any(relations(message, vocabulary))


def relates_to_itself(text: str, message: str, vocabulary: Vocabulary) -> bool:
    """Whether an instruction relates a thing to itself, though the message names it once: "a cat right of a cat"."""
    found = _SIDE.search(text)
    if not found:
        return False
    first, second = _thing(text[: found.start()], vocabulary, -1), _thing(text[found.end() :], vocabulary, 0)
    same = first is not None and second is not None and first.head == second.head
    return same and sum(each.head == first.head for each in runs(message, vocabulary) if first) < 2


def _thing(text: str, vocabulary: Vocabulary, place: int) -> Phrase | None:
    """The first or the last thing of a text, without what tells which one it is."""
    things = [phrase for phrase in runs(text, vocabulary) if phrase.head and not phrase.place]
    if not things:
        return None
    return Phrase(properties=things[place].properties, head=things[place].head, count=things[place].count)

"""Corrections that name another value of a property: "not red, yellow", "no, a blue one", "make that purple".

They say nothing of the thing that has it: it is the one that stands with the value that is denied, or, where none is,
the last one with another value of the same property.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from imagescope_agent.nodes.chat.language.coverage import Phrase, in_order, runs
from imagescope_agent.nodes.chat.language.grounding import NUMBERS
from imagescope_agent.nodes.chat.language.not_taken_up import named
from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.chat.language.standing_facts import BESIDE, plain
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.state import Fact, MessagePart

_FILLER = r"(?:but|and|oh|ah|well|hm+|um+|uh+|er+|u+gh+|a+r+gh+|gah|grr+|man|dude|gosh|god|je+z|geez|yikes)\b"
_OPENER = (
    r"(?:no+(?=\W*(?:$|[,.!;:\u2026]|\s(?:no+|not|wait|sorry|an?|the)\b))"
    r"|nope|nah|wait|sorry|oops|actually|rather|wrong|correction)\b"
)
#: What a correction begins with.
_OPENS = re.compile(rf"(?:\W*{_FILLER})*\W*{_OPENER}(?:\W*(?:{_FILLER}|{_OPENER}))*\W*", re.I)
_ORDER = re.compile(r"\b(?:make|turn|change|paint|colou?r|dye)\b", re.I)  # says itself that a value gives way
_COLOURS = "red orange yellow green blue purple pink brown black white grey gray turquoise beige violet"
_SIZES = "small large big little tiny huge tall short"
_VALUES = {
    **dict.fromkeys(("colour", "shade"), frozenset(_COLOURS.split())),
    "size": frozenset(_SIZES.split()),
}
_NAME = r"(colou?r|shade|size)\b"
#: Gives up a property by its name.
_LETS_GO = re.compile(
    rf"\b(?:forget|never ?mind|skip|drop|ignore|scratch|lose|leave out)\b(?: about)?"
    rf"(?: (?:the|its|their|that))? {_NAME}"
    rf"|\b(?:any|whatever|whichever) {_NAME}"
    rf"|\b(?:the|its|their) {_NAME}[^.,;!?]*\b(?:(?:does|do)(?:n['’]?t| not) matter"
    r"|(?:is|are)(?:n['’]?t| not) (?:that |so )?important|(?:can|could|may) be any\w*)\b",
    re.I,
)
_MEANS_ONE = re.compile(r"\b(?:it|that|this|them|those|these|ones?)\b", re.I)
#: What says that a thing is meant beside those that stand, or asks for one.
_FURTHER = re.compile(
    r"\b(?:also|too|another|as well|plus|add|both|and an?|second|further|one more|not (?:only|just)"
    rf"|(?:is|are|was|were) there|{BESIDE})\b"
    r"|^\W*(?:is|are|was|were)\b[^?]*\?\W*$",
    re.I,
)


class Correction(NamedTuple):
    """What one standing fact becomes.

    Attributes:
        number: of the fact, from 1.
        text: what is to stand in its place.
        doubtful: whether another fact might be meant.
        stated: whether the message only states the new value, and does not say that something is wrong.
    """

    number: int
    text: str
    doubtful: bool = False
    stated: bool = False


def correction(
    facts: Sequence[Fact], acts: Sequence[MessagePart], vocabulary: Vocabulary
) -> Correction | None:
    """The fact that a message gives another value of a property; None where it does anything else, or it is unclear.

    Args:
        facts: all that stand.
        acts: the parts of the message.
        vocabulary: of the collection.
    """
    said = ", ".join(part["text"] for part in acts if part["act"] in ("wish", "correction"))
    found = runs(said, vocabulary)
    words = [word for phrase in found for word in (*phrase.properties, phrase.head) if word]
    heads = list(filter(vocabulary.is_head, words))
    things = {frozenset(content_words(word)) for word in heads}
    if not found or len(things) > 1 or any(phrase.place or phrase.count for phrase in found):
        return None
    if any(part["act"] in ("answer", "withdrawal") for part in acts):
        return None
    if _FURTHER.search(said) or (not things and any(map(vocabulary.lacks, named(said)))):
        return None
    values = {each: _is_denied(each, phrase, said) for phrase in found for each in phrase.properties}
    values = {each: denied for each, denied in values.items() if each not in heads}
    if _several(values, said) or any(each in NUMBERS for each in values):
        return None
    if values and not any(values.values()):  # "I said grey and meant yellow": the last one holds
        *first, last = values
        values |= {each: not vocabulary.go_together(each, last) for each in first}
    known = [(number, plain(fact, vocabulary)) for number, fact in enumerate(facts, 1)]
    same = [(n, old) for n, old in known if old and (not things or content_words(old.head) in things)]
    same = [
        (n, old) for n, old in same if not (old.count and things) or old.head in heads
    ]  # "the boat" of two
    likely, possible = _changed(same, values, vocabulary)
    stated = not likely and not _corrects(acts) and not _ORDER.search(said)
    if not likely and _corrects(acts) and (len(possible) == 1 or not things):
        likely = possible[::-1]
    elif not likely and not things and _MEANS_ONE.search(said):  # "it" is what was named last
        likely = [each for each in possible if each.number == same[-1][0]]
    return likely[0]._replace(doubtful=len(likely) > 1, stated=stated) if likely else None


def without_property(
    facts: Sequence[Fact], acts: Sequence[MessagePart], vocabulary: Vocabulary
) -> Correction | None:
    """The fact that loses a property which a message gives up by its name: "forget about the colour"."""
    said = ", ".join(part["text"] for part in acts)
    found, named_in = _LETS_GO.search(said), runs(said, vocabulary)
    if not found or any(each.properties or each.place for each in named_in):
        return None
    values = _VALUES[next(filter(None, found.groups())).lower().replace("color", "colour")]
    things = [content_words(phrase.head) for phrase in named_in if phrase.head]
    for number, fact in reversed([*enumerate(facts, 1)]):
        old = plain(fact, vocabulary)
        if old and values & {*old.properties} and (not things or content_words(old.head) in things):
            kept = [each for each in old.properties if each not in values]
            whole = Phrase(properties=kept, head=old.head, count=old.count)
            return Correction(number, whole.exactly, stated=True)
    return None


def changed_fact(
    facts: Sequence[Fact], acts: Sequence[MessagePart], vocabulary: Vocabulary
) -> Correction | None:
    """What a message makes of one fact by its own words; arguments as `correction`."""
    return correction(facts, acts, vocabulary) or without_property(facts, acts, vocabulary)


def _changed(
    known: Sequence[tuple[int, Phrase]], values: dict[str, bool], vocabulary: Vocabulary
) -> tuple[list[Correction], list[Correction]]:
    """The facts with the values that are named: those whose own value is named, too, and those with another one."""
    likely, possible = list[Correction](), list[Correction]()
    for number, old in known:
        new = [each for each, denied in values.items() if not denied and each not in old.properties]
        kept = [each for each in old.properties if each not in values or not values[each]]
        kept = [each for each in kept if all(vocabulary.go_together(each, value) for value in new)]
        if not new or len(kept) == len(old.properties):
            continue
        whole = Phrase(properties=in_order([*kept, *new], vocabulary), head=old.head, count=old.count)
        names_old = any(each in values for each in old.properties if each not in kept)
        (likely if names_old else possible).append(Correction(number, whole.exactly))
    return likely, possible


def without_opening(text: str) -> str:
    """A text without the "no, " or "sorry, " that it begins with; one that is nothing else stays."""
    begun = _OPENS.match(text)
    return (text[begun.end() :] if begun else text) or text


def _several(values: Collection[str], said: str) -> bool:
    """Whether several values are named that hold together, or of which either may: "red and white", "blue or green"."""
    one = "|".join(map(re.escape, values))
    return bool(one) and bool(re.search(rf"\b(?:{one})\s+(?:and|or)\s+(?:an?\s+)?(?:{one})\b", said, re.I))


def _is_denied(value: str, phrase: Phrase, said: str) -> bool:
    return phrase.replaced or is_negated(value, said)


def _corrects(acts: Sequence[MessagePart]) -> bool:
    """Whether a part corrects, by its act, by what it begins with, or by a "no" that stands before it alone."""
    opened = False
    for part in acts:
        if part["act"] == "correction" or (part["act"] == "wish" and (opened or _OPENS.match(part["text"]))):
            return True
        opened = part["act"] in ("skip", "aside") and _OPENS.fullmatch(part["text"]) is not None
    return False

"""What the words of a query without a picture name and its reading passes over or turns round; asks no model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from imagescope_agent.nodes.chat.described_target import described
from imagescope_agent.nodes.chat.language.coverage import Known, Phrase, phrases, runs, with_passed_over
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.nodes.chat.language.polarity import TAKES_BACK, is_negated, may_exclude
from imagescope_agent.nodes.chat.language.relations import passed_over_relations
from imagescope_agent.nodes.chat.language.sides import with_side
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.contradictions import unsaid_exclusion
from imagescope_agent.nodes.intent.drift import content_words, is_english
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.parsing import StepAnswer
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.state import Instruction, Intent, plain_intent

#: "swap a boat for a car", "it shows a boat": the boat is no new thing.
_KNOWN = (
    r"(?:\b(?:swap|exchang|trad|substitut|chang|turn|switch|convert|transform|los(?:e|ing)\b|drop|ditch|mov|keep|kept|has\b|shows\b)"
    r"\w*(?: out| in| away| up| off)? an?|\b(?:the|that|this|its|their|those|these))"
)
_CHOICE = re.compile(r"\b(?:or|either|maybe|perhaps)\b", re.I)  # of things that need not all be there


async def completed(
    intent: Intent, query: str, embedder: Embedder | None, vocabulary: Vocabulary, step: str
) -> tuple[Intent, list[NoteDict]]:
    """The intent with what the query names in words of the collection's captions, and notes on what was changed.

    Args:
        intent: of a query without a reference.
        query: in the user's words.
        embedder: tells whether other words say the same.
        vocabulary: of the collection; where it is empty the intent stays as it is.
        step: whose notes these are.
    """
    if not vocabulary.words or not intent["steps"] or _CHOICE.search(query) or not is_english(query):
        return intent, []
    turned = _turned_round(intent, query, vocabulary)
    said = Grounding([query], embedder, vocabulary.stems)
    # what else a reading infers may well be meant: "children" of "kids"
    held = [each for each in intent["steps"] if not place_in(each["text"]) or await said.holds(each["text"])]
    given = [
        StepAnswer(type="Addition" if each["text"] in turned else each["type"], text=each["text"])  # type: ignore[arg-type]
        for each in held or intent["steps"]
    ]
    whole = await with_named(given, query, embedder, vocabulary)
    # models are taught what is excluded last
    ordered = sorted(whole, key=lambda each: each.type == "Removal") if whole != given else whole
    steps = [Instruction(type=each.type, text=each.text) for each in ordered]
    if steps == intent["steps"]:
        return intent, []
    return plain_intent(described(steps), steps), _notes(intent["steps"], given, steps, turned, step)


async def with_named(
    given: Sequence[StepAnswer], query: str, embedder: Embedder | None, vocabulary: Vocabulary
) -> list[StepAnswer]:
    """The instructions, and what the query names and they pass over: things, exclusions, relations, sides."""
    whole = await with_passed_over(given, query, Known(), embedder, vocabulary)
    whole += passed_over_relations(whole, [], query, vocabulary)
    return with_side(whole, query, vocabulary)


def with_new_things(
    intent: Intent, query: str, vocabulary: Vocabulary, step: str
) -> tuple[Intent, list[NoteDict]]:
    """The intent of a query about one reference with the new things that it names and no instruction does, and notes.

    "a black star" is new, as what stands with "the" is not. What is said twice of one thing is said once.

    Args:
        intent: what was understood.
        query: in the user's words.
        vocabulary: of the collection; where it is empty the intent stays as it is.
        step: whose notes these are.
    """
    if not intent["steps"] or _CHOICE.search(query) or not is_english(query):
        return intent, []
    lost = dict.fromkeys(
        each.text for each in runs(query, vocabulary) if _is_new(each, query, intent, vocabulary)
    )
    if not lost:
        return intent, []
    once = {(each["type"] == "Removal", each["text"]): each for each in reversed(intent["steps"])}
    new = [Instruction(type="Addition", text=text) for text in lost]
    steps = sorted([*reversed(once.values()), *new], key=lambda each: each["type"] == "Removal")
    return plain_intent(described(steps), steps), [_passed_over(text, step) for text in lost]


def _is_new(phrase: Phrase, query: str, intent: Intent, vocabulary: Vocabulary) -> bool:
    """Whether a phrase is about a thing that is to come in, and no instruction has its words."""
    known = phrase.place or phrase.count or phrase.definite or phrase.lone or phrase.replaced
    if known or not phrase.head or not vocabulary.is_head(phrase.head) or is_negated(phrase.text, query):
        return False
    bare = re.escape(" ".join([*phrase.properties, phrase.head]))
    if re.search(rf"{_KNOWN} {bare}\b", query.lower()):
        return False
    if not all(vocabulary.go_together(*pair) for pair in pairwise(phrase.properties)):
        return False
    words = content_words(phrase.text)
    return not any(words <= content_words(each["text"]) for each in intent["steps"])


def _passed_over(text: str, step: str) -> NoteDict:
    return note(step, "repaired", f"{text!r} is named by the query, and was passed over")


def _notes(
    read: Sequence[Instruction],
    given: Sequence[StepAnswer],
    steps: Sequence[Instruction],
    turned: Sequence[str],
    step: str,
) -> list[NoteDict]:
    """What was changed: turned round, left out, added."""
    kept, before = [each.text for each in given], [each["text"] for each in read]
    notes = [note(step, "repaired", f"{text!r} was to be left out, and is wanted") for text in turned]
    left = [text for text in before if text not in kept]
    added = [each["text"] for each in steps if each["text"] not in before]
    notes += [note(step, "drifted", f"{text!r} is not in the query and was left out") for text in left]
    return notes + [_passed_over(text, step) for text in added]


def unread_exclusions(intent: Intent, query: str, vocabulary: Vocabulary) -> list[str]:
    """What the words of an English query exclude, in words of the captions, and no instruction does, or one wants."""
    told = Grounding([step["text"] for step in intent["steps"] if step["type"] == "Removal"])
    wanted = [content_words(step["text"]) for step in intent["steps"] if step["type"] != "Removal"]
    found = phrases(query, vocabulary) if is_english(query) else []
    gone = " ".join(clause for clause in re.split(r"[.,;:!?]", query) if TAKES_BACK.match(clause.strip()))
    excluded = [
        each.text
        for each in found
        if is_negated(each.text, query) or not Grounding([gone]).ungrounded(each.text)
    ]
    return [text for text in excluded if told.ungrounded(text) or content_words(text) in wanted]


def _turned_round(intent: Intent, query: str, vocabulary: Vocabulary) -> list[str]:
    """What is read as excluded though no word excludes anything, or one excludes what was passed over."""
    removed = [step["text"] for step in intent["steps"] if step["type"] == "Removal"]
    if not unsaid_exclusion(intent, query) and not unread_exclusions(intent, query, vocabulary):
        return []
    return [text for text in removed if not may_exclude(text, query)]

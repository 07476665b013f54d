"""Readings of a query about two references that keep other things of them than its words name.

Only where an English query is of one of three plain kinds: a thing of one in the place of the other, a thing in the
colour of the other's, and a thing of each.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.nodes.intent.contradictions import (
    COLOUR,
    PLACE,
    in_plain_colour,
    in_plain_place,
    named_in,
    placed,
    told_lender,
)
from imagescope_agent.nodes.intent.drift import content_words, is_english
from imagescope_agent.nodes.intent.said_references import said_references
from imagescope_agent.prompting import NEGATED, request_text
from imagescope_agent.state import Intent

#: What means a reference as a whole: "like image 1", "everything", "the rest"; not "the same car as in image 1".
_WHOLE = re.compile(
    r"\b(?:all|every\w*|whole|entire\w*|complete\w*|rest|copy|unchanged|otherwise|anything)\b"
    r"|(?<!place )(?<!setting )(?<!environment )(?<!d )(?<!['’]d )\b"
    r"(?:like|similar to|same as) (?:in |that of )?(?:the )?"
    r"(?:image|picture|photo|first|second|one)\b",
    re.I,
)
#: What takes something else over than a thing: "shaped like", "to match".
_LENT = re.compile(r"\b(?:match|resembl|shap|styl|pattern|textur|siz|material|form)\w*|\blike the\b", re.I)


def misplaced(intent: Intent, query: str, captions: Sequence[str]) -> bool:
    """Whether what is kept of two references is not what the words name of each.

    Args:
        intent: what was understood.
        query: about several references.
        captions: of these.
    """
    about = [step for step in intent["steps"] if "reference" in step]
    named = _named(intent, query, captions)
    kind = _kind(query, named)
    if kind is None or not about or len(captions) != 2:
        return False
    texts = [content_words(step["text"]) for step in about]
    if kind == "colour":
        lends = told_lender(query, {stem: word for word, stem in named.items()})
        takes = next(stem for stem in named.values() if stem != lends)
        return lends is not None and not all(takes in text for text in texts)
    owners = _owners(query, named, captions)
    if len(owners) != len(named):
        return False
    kept = {
        number: [
            (step["text"], text)
            for step, text in zip(about, texts, strict=True)
            if step.get("reference") == number
        ]
        for number in (1, 2)
    }
    if not kept[1] or not kept[2]:
        return True
    right = all(all(named[word] in text for _, text in kept[number]) for word, number in owners.items())
    if kind == "place":
        other = 3 - next(iter(owners.values()))
        right = right and all(place_in(text) for text, _ in kept[other])
    return not right


def plainly(intent: Intent, query: str, captions: Sequence[str]) -> str:
    """Such a query in the plainest words; "" where its words do not tell which reference a thing is of."""
    named = _named(intent, query, captions)
    kind = _kind(query, named)
    if kind == "colour":
        return in_plain_colour(intent, query, captions)
    if kind == "place":
        return in_plain_place(query, captions)
    owners = _owners(query, named, captions)
    if kind is None or len(owners) != 2:
        return ""
    apart = request_text([step for step in intent["steps"] if "reference" not in step])
    things = [f"the {word} of image {owners[word]}" for word in sorted(owners, key=lambda word: owners[word])]
    return ", ".join(filter(None, [" and ".join(things), apart]))


def _named(intent: Intent, query: str, captions: Sequence[str]) -> dict[str, str]:
    """The words of the query that captions have too, with their stems; not those of no reference."""
    told = content_words(" ".join(step["text"] for step in intent["steps"] if "reference" not in step))
    found = named_in(query, [content_words(caption) for caption in captions])
    return {word: stem for word, stem in found if stem not in told}


def _kind(query: str, named: dict[str, str]) -> Literal["place", "colour", "things"] | None:
    if NEGATED.search(query) or _WHOLE.search(query) or not is_english(query):
        return None
    colour, place = COLOUR.search(query), PLACE.search(query)
    if len(named) == 1 and place and not colour:
        return "place"
    if len(named) != 2 or place:
        return None
    return "colour" if colour else None if _LENT.search(query) else "things"


def _owners(query: str, named: dict[str, str], captions: Sequence[str]) -> dict[str, int]:
    """The number of the reference of each thing: as the words say, else that of the only caption that has it."""
    known = [content_words(caption) for caption in captions]
    shown = {word: [stem in caption for caption in known] for word, stem in named.items()}
    if len(named) == 1:
        return {word: number for word in named if (number := placed(query, word, shown[word]))}
    said = said_references(query, [*named], len(captions))
    alone = {word: 1 + each.index(True) for word, each in shown.items() if sum(each) == 1}
    owners = alone | {word: number for word, number in said.items() if shown[word][number - 1]}
    return owners if len({*owners.values()}) == len(named) else {}

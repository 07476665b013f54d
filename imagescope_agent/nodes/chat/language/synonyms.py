"""Other words for what the captions of a collection name: "a kitten" among cats, "after dark" for "at night"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile

import numpy as np

from imagescope_agent.nodes.begin import read_as
from imagescope_agent.nodes.chat.language.grounding import PHRASE, SAME, SAME_WORD, domain_of, is_learnt
from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.other_words import OtherWords, in_read_words
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.state import MessagePart, State

#: What begins another phrase: "at the seaside and no yellow boat" says no more of the place than "at the seaside".
_NEXT = frozenset(["and", "or", "but", "no", "not", "without", "with", *PREPOSITION])
#: "It was tiny", "it's the seaside": what something is, at the end of a clause, and the article of a place.
_TOLD = re.compile(
    r"(?:\b(?:is|was|are|were|be|been)|\b(?:it|that|they|this)['\u2019]?(?:s|re))\s+"
    r"(?:(?:very|really|pretty|quite|rather|so|too|super|all|just|at|by)\s+)*((?:the|an?)\s+)?([^\W\d_]+)"
    r"(?=\s*(?:[.,;:!?)]|$|(?:and|but|or|too|please|pls|though|not|I)\b))",
    re.I,
)
MOST = 64  # things; who reads the messages of a collection with more knows their other names


async def in_taught_words(
    state: State, vocabulary: Vocabulary, embedder: Embedder | None
) -> tuple[State, list[str]]:
    """The state with a message in words that the models were taught, and what is said about each that was another.

    Args:
        state: with the message and its parts.
        vocabulary: of the captions, whose words stay.
        embedder: knows what was taught, and reads what was not (`retrieval.other_words`).
    """
    read = await read_as(state["query"], embedder, lambda word: word in vocabulary.forms)
    if not read:
        return state, []
    acts: list[MessagePart] = [
        {"text": in_read_words(part["text"], read), "act": part["act"]} for part in state.get("acts", [])
    ]
    told: State = {**state, "query": in_read_words(state["query"], read), "acts": acts}
    return told, [f'I read "{said}" as "{meant}".' for said, meant in read.items()]


def in_known_words(state: State, vocabulary: Vocabulary, embedder: Embedder | None) -> State:
    """The state with a message in which other words for what the captions name are theirs.

    Args:
        state: with the message and its parts.
        vocabulary: of the captions.
        embedder: compares words that it has learnt; nothing changes without one whose domain tells which they are.
    """
    domain = domain_of(embedder)
    if embedder is None or domain is None or not vocabulary.words:
        return state
    read = {
        **_told_listed(state["query"], vocabulary, embedder),
        **_places(state["query"], vocabulary, domain, embedder),
        **_things(state["query"], vocabulary, domain, embedder),
    }
    if not read:
        return state
    acts: list[MessagePart] = [
        {"text": _with(read, part["text"]), "act": part["act"]} for part in state.get("acts", [])
    ]
    return {**state, "query": _with(read, state["query"]), "acts": acts}


def _with(read: Mapping[str, str], text: str) -> str:
    for said, meant in read.items():
        text = re.sub(rf"\b{re.escape(said)}\b", meant, text, flags=re.I)
    return text


def _told_listed(text: str, vocabulary: Vocabulary, embedder: Embedder) -> dict[str, str]:
    """Each size, or place that a clause says it is, in another word that is listed: "it was tiny", "a tiny boat"."""
    others: OtherWords | None = getattr(embedder, "other_words", None)
    read = dict[str, str]()
    if others is None:
        return read
    for found in _TOLD.finditer(text):
        word = found[2].lower()
        name, fits = others.means.get(word, ""), "place" if found[1] else "size"
        if name and word not in vocabulary.forms and vocabulary.has(name) and others.sorts[name] == fits:
            read[found[2]] = name
    for word, after in re.findall(r"\b([^\W\d_]+)\b(?=\s+([^\W\d_]+))", text):
        name = others.means.get(word.lower(), "")
        before_thing = vocabulary.has(after) and after.lower() not in FUNCTION
        if name and before_thing and vocabulary.has(name) and others.sorts[name] == "size":
            read[word] = name
    return read


def _things(text: str, vocabulary: Vocabulary, domain: Domain, embedder: Embedder) -> dict[str, str]:
    """Each word of a text that is another one for a thing, with that."""
    words = list(dict.fromkeys(re.findall(r"[^\W\d_]+", text.lower())))
    of_captions = {*words_of(" ".join(vocabulary.words))}
    words = [word for word in words if is_learnt(word, domain) and not of_captions & {*words_of(word)}]
    once = {next(iter(content_words(word)), word): word for word in sorted(vocabulary.words, reverse=True)}
    things = [word for word in once.values() if vocabulary.is_head(word) and not vocabulary.place_of(word)]
    return _nearest(words, things, embedder, "a {}", SAME_WORD) if len(things) <= MOST else {}


def _places(text: str, vocabulary: Vocabulary, domain: Domain, embedder: Embedder) -> dict[str, str]:
    """Each phrase of a text that says otherwise where or when the picture is, with the captions' words for that."""
    places = [f"{before} {phrase.split()[-1]}" for phrase, before in vocabulary.places.items() if before]
    spans = [span for span in dict.fromkeys(_spans(text)) if is_learnt(span, domain)]
    known = {" ".join(word for word in place.split() if word not in FUNCTION) for place in places}
    spans = [span for span in spans if not any(content_words(span) >= content_words(each) for each in known)]
    found = _nearest(spans, places, embedder, "{}", SAME) if len(places) <= MOST else {}
    return {span: found[span] for span in found if not any(span != o and span in o for o in found)}


def _spans(text: str) -> Iterator[str]:
    """The phrases that begin with a preposition."""
    for line in re.split(r"[\n.,;:!?()]", text.lower()):
        words = re.findall(r"[\w'-]+", line)
        for start, word in enumerate(words):
            if word in PREPOSITION:
                rest = list(takewhile(lambda each: each not in _NEXT, words[start + 1 : start + 1 + PHRASE]))
                yield from (
                    " ".join([word, *rest[:end]])
                    for end in range(1, len(rest) + 1)
                    if rest[end - 1] not in FUNCTION
                )


def _nearest(
    said: list[str], known: list[str], embedder: Embedder, frame: str, least: float
) -> dict[str, str]:
    """What is said with what is known that the embedder takes for the same."""
    if not said or not known:
        return {}
    vectors = embedder.texts([frame.format(text) for text in (*said, *known)])
    alike = vectors[: len(said)] @ vectors[len(said) :].T
    best = np.argmax(alike, axis=1)
    return {
        text: known[place] for text, place, row in zip(said, best, alike, strict=True) if row[place] >= least
    }

"""A message in the plain form of what it says: alternatives that are settled, denied properties, the weather."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.nodes.intent.drift import content_words

_ARTICLE = r"(?:(?:an?|the)\s+)?"
#: A question that names nothing but two alternatives, with something behind it.
_POSED = re.compile(rf"(?:(?<=[.!?\n] )|^){_ARTICLE}([\w-]+),?\s+or\s+{_ARTICLE}([\w-]+)\s*\?\s*(?=\S)", re.I)
_BE = r"(?:is|are|was|were|(?:should|must|may|can) be)"
#: "The car is not green", "cars aren't green".
_DENIED = re.compile(
    r"(?:^|(?<=[.!?,;\n] )|(?<=\band )|(?<=\bbut ))(?:(?:the|that|this|its|my)\s+)?"
    r"(?!(?:that|this|it|which|who|they)\b)"
    rf"([\w-]+)\s+(?:{_BE}\s+not|(?:is|are|was|were)n['\u2019]?t|"
    r"(?:should|must|may|can)(?:n['\u2019]t| not) be)\s+([\w-]+)(?=\s*(?:[.,;!]|$|(?:but|and)\b))",
    re.I,
)
#: Not "it is raining here", where somebody sits, nor "raining cats and dogs".
_WEATHER = re.compile(
    r"\bit(?:\s+(?:is|was|has been|had been)|['\u2019]s)\s+(\w{3,}ing)\b(?=\s*(?:$|[.,;!?\n]|(?:and|or|in the)\b))",
    re.I,
)
_SOMETHING = re.compile(r"\b(?:some|any)thing\s+([\w-]+)(?=\s*(?:[.;!?]|$|,?\s*please\s*(?:[.;!?]|$)))", re.I)


def in_plain_form(message: str, vocabulary: Vocabulary, wanted: Sequence[str] = ()) -> str:
    """What a message says, in a form that is read as it is meant.

    Args:
        message: in the user's words.
        vocabulary: of the collection; only what it knows is put in another form.
        wanted: the instructions that stand, exclusions left out.

    >>> words = read_captions(("a black cat in the snow", "a white cat"))
    >>> in_plain_form("Black or white? I'd say white.", words, ["a cat"])
    "I'd say white."
    >>> in_plain_form("the cat is not black", words, ["a cat"])
    'no black cat'
    >>> in_plain_form("and it was snowing", words)
    'and it was in the snow'
    >>> in_plain_form("something white", words)
    'a white thing'
    """
    message = _POSED.sub(lambda posed: _settled(posed, message[posed.end() :], vocabulary, wanted), message)
    message = _DENIED.sub(lambda denied: _excluded(denied, message, vocabulary, wanted), message, count=1)
    message = _WEATHER.sub(lambda told: next(_places(told, vocabulary), told[0]), message)
    if wanted:
        return message
    return _SOMETHING.sub(
        lambda named: f"a {named[1]} thing" if _is_property(named[1], vocabulary) else named[0], message
    )


def _settled(posed: re.Match[str], answer: str, vocabulary: Vocabulary, wanted: Sequence[str]) -> str:
    """The question, or "" where its author takes one of its alternatives: a thing, or a property of one that stands."""
    said = {word.lower() for word in re.findall(r"[\w-]+", answer)}
    taken = [each for each in posed.groups() if each.lower() in said]
    if len(taken) != 1 or not vocabulary.has(taken[0]) or is_negated(taken[0], answer):
        return posed[0]
    stands = any(
        vocabulary.is_head(text.split()[-1]) and not place_in(text) for text in wanted if text.split()
    )
    return "" if stands or vocabulary.is_head(taken[0]) else posed[0]


def _excluded(denied: re.Match[str], message: str, vocabulary: Vocabulary, wanted: Sequence[str]) -> str:
    """A denial as an exclusion, unless it corrects what stands or says what is there instead."""
    thing, value = denied.groups()
    if not _is_property(value, vocabulary) or not vocabulary.is_head(thing):
        return denied[0]
    rest = re.findall(r"[\w-]+", message[: denied.start()] + message[denied.end() :])
    corrects = any(content_words(f"{value} {thing}") <= content_words(text) for text in wanted)
    if corrects or any(_is_property(word, vocabulary) for word in rest):
        return denied[0]
    return f"no {value} {thing}"


def _is_property(word: str, vocabulary: Vocabulary) -> bool:
    return bool(content_words(word)) and vocabulary.has(word) and not vocabulary.is_head(word)


def _places(told: re.Match[str], vocabulary: Vocabulary) -> Iterator[str]:
    """Where or when it is, as captions say it, of weather: "it was snowing" of pictures "in the snow"."""
    for place, before in vocabulary.places.items():
        noun = place.rpartition(" ")[2]
        if content_words(noun) & content_words(told[1]):
            verb = told[0][: told.start(1) - told.start()]
            yield f"{verb}{before} {noun}" if before else f"{verb}{place}"

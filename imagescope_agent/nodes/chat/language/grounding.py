"""Grounding without a model: is what a model makes of a message in the message?

A word is grounded where the message has it: the same stem, a misspelling of it, or a word or phrase that the embedder
takes for the same ("a kitten", "a cat"; "after dark", "at night").
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Sequence
from difflib import SequenceMatcher

from imagescope_agent.nodes.chat.language.places import place_in
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.state import Fact

SAME = 0.94  # cosine above which two phrases say the same; measured: synonyms from 0.944, other words up to 0.934
SAME_WORD = (
    0.98  # cosine of "a kitten" and "a cat"; measured: synonyms from 0.983, words never learnt up to 0.976
)
MISSPELT = 0.75  # ratio of common letters above which a word is the other, misspelt
PHRASE = 4  # words of the longest phrase that is compared
_FORM = frozenset(["exactly", "thing", "things", "scene", "setting", "visible", "present"])
NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


class Grounding:
    """What a message, and whatever else was told with it, can give the ground for.

    Args:
        told: the message, the question that it answers, what it corrects.
        embedder: compares phrases; None compares letters alone.
        vocabulary: stems of the words that describe the collection, none where they are not known; another word for
            what was told is one of them, and a word that nobody uses has a vector like any other.
        stands: whether something may stand that a property alone is told of: "grey, please" of "a grey wagon".
    """

    def __init__(
        self,
        told: Iterable[str],
        embedder: Embedder | None = None,
        vocabulary: Collection[str] = frozenset(),
        *,
        stands: bool = True,
    ) -> None:
        self.told, self.embedder, self.vocabulary = " \n ".join(told), embedder, vocabulary
        self.stands = stands
        self.words = [word for word in _words(self.told) if word not in FUNCTION]
        self.stems = content_words(self.told) | _numbers(self.told)

    async def holds(self, text: str) -> bool:
        """Whether every word of a text that names something is grounded."""
        open_ = self.ungrounded(text)
        if not open_ or self.embedder is None:
            return not open_
        if self.vocabulary and not content_words(" ".join(open_)) <= set(self.vocabulary):
            return False
        return await asyncio.to_thread(self.says_the_same, text, open_)

    def ungrounded(self, text: str) -> list[str]:
        """The words of a text that the message does not have."""
        words = [word for word in _words(text) if word not in FUNCTION and word not in _FORM]
        missing = [
            word for word in words if not content_words(word) <= self.stems and not self._misspelt(word)
        ]
        return missing + sorted(_numbers(text) - self.stems)

    def _misspelt(self, word: str) -> bool:
        return any(
            word[0] == other[0] and SequenceMatcher(None, word, other).ratio() >= MISSPELT
            for other in self.words
            if len(word) > 3 and len(other) > 2
        )

    def says_the_same(self, text: str, open_: Sequence[str]) -> bool:
        """Whether the embedder takes what is open, word by word or as a whole, for something that was told."""
        assert self.embedder is not None
        if _numbers(text) - self.stems:  # vectors of "three stars" and "four stars" are alike
            return False
        domain = domain_of(self.embedder)
        learnt = [word for word in self.words if domain is None or is_learnt(word, domain)]
        words = [f"a {word}" for word in learnt]
        whole = [each for each in _phrases(self.told) if domain is None or is_learnt(each, domain)]
        if not self.stands:
            whole = [each for each in whole if not content_words(each) <= content_words(text)]
        if not words:
            return False
        targets, sources = [*(f"a {word}" for word in open_), place_in(text) or text], [*words, *whole]
        vectors = self.embedder.texts([*targets, *sources])
        alike = vectors[: len(targets)] @ vectors[len(targets) :].T
        same = bool(whole) and alike[-1, len(words) :].max() >= SAME
        return bool(same or (alike[:-1].max(axis=1) >= (SAME if domain is None else SAME_WORD)).all())


def domain_of(embedder: Embedder | None) -> Domain | None:
    """What the embedder was trained on, where that is known of it."""
    domain: Domain | None = getattr(embedder, "domain", None)
    return domain if embedder and domain and domain.weights == embedder.weights else None


def is_learnt(text: str, domain: Domain) -> bool:
    """Whether every word of a text that has a sense of its own was learnt; of others the vectors tell nothing."""
    words = words_of(" ".join(word for word in text.split() if content_words(word)))
    return bool(words) and domain.words.issuperset(words)


def substitutes(question: str, steps: Collection[str]) -> bool:
    """Whether a predicate asks for something else than its instructions: other words instead of theirs."""
    told, asked = Grounding(steps), Grounding([question])
    return bool(told.ungrounded(question)) and all(asked.ungrounded(step) for step in steps)


def excludes(removal: str, addition: str) -> bool:
    """Whether what must not be there covers what must: "a house" and "a red house"."""
    general, special = content_words(removal), content_words(addition)
    return bool(general) and general <= special and not (place_in(removal) or place_in(addition))


def same_thing_counted(first: str, second: str) -> bool:
    """Whether two instructions give one thing different numbers: "exactly two cars", "exactly three cars"."""
    numbers = _numbers(first), _numbers(second)
    if not all(numbers) or not (first.startswith("exactly ") and second.startswith("exactly ")):
        return False
    counting = content_words(" ".join(NUMBERS))
    same = content_words(first) - counting == content_words(second) - counting
    return same and numbers[0] != numbers[1]


def contradicts(kind: str, text: str, fact: Fact) -> bool:
    """Whether a new instruction and a standing fact cannot both hold."""
    if kind == "Removal" and fact["type"] != "Removal":
        return excludes(text, fact["text"])
    if kind != "Removal" and fact["type"] == "Removal":
        return excludes(fact["text"], text)
    return same_thing_counted(text, fact["text"])


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]{2,}", text.lower())


def _numbers(text: str) -> set[str]:
    """The numbers in a text, in words; "no" and "one" are no numbers where nothing is counted."""
    digits = [NUMBERS[int(digit)] for digit in re.findall(r"\b\d\b", text)]
    named = {word for word in [*digits, *_words(text)] if word in NUMBERS[2:]}
    counted = (
        {"one"}
        if re.search(
            r"\bexactly one\b|\b(?:only|just|single) one\b|\b1\b|\bone\b.*\bhow many\b", text.lower(), re.S
        )
        else set()
    )
    return named | counted


def _phrases(text: str) -> list[str]:
    """The phrases of up to `PHRASE` words in the lines of a text that name something, none cut before its thing.

    "a blue" of "a blue boat" and "a blue one" are as near to "a blue star" as another word for it.
    """
    found: list[str] = []
    for line in re.split(r"[\n.,;:!?]", text.lower()):
        words = re.findall(r"[^\W_]+", line)
        ends = [n for n, word in enumerate(words, 1) if word not in FUNCTION and _ends_phrase(words, n)]
        spans = [words[start:end] for end in ends for start in range(max(0, end - PHRASE), end)]
        found += [" ".join(span) for span in spans]
    return found


def _ends_phrase(words: Sequence[str], end: int) -> bool:
    """Whether a phrase may end there: no word follows that names something, and no "one"."""
    after = words[end] if end < len(words) else ""
    return after not in ("one", "ones") and (not after or after in FUNCTION)

"""The words in which a collection is described: which name things, which go together, which say where or when."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from imagescope_agent.nodes.chat.language.places import PREPOSITION
from imagescope_agent.nodes.intent.drift import FUNCTION, content_words
from imagescope_agent.retrieval.protocols import Collection

CAPTIONS = 500  # whose words count as those that name what can be seen
_ARTICLES = frozenset(["a", "an", "the"])


@dataclass(frozen=True)
class Vocabulary:
    """What the captions of a collection tell about its words; empty where there are no captions.

    Attributes:
        words: how often each stands there, function words left out.
        heads: stems of words that name a thing: a phrase mostly ends with them, as "boat" in "a red boat".
        pairs: stems that stand side by side, in order: "small red". Two that never do are alternatives.
        places: what follows a preposition and ends a caption, without articles, and what stands before its last word
            if that stands nowhere else: {"in snow": "in the"}; "" if it does.
    """

    words: Counter[str] = field(default_factory=Counter)
    heads: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of the words."""
        return frozenset(stem for word in self.words for stem in content_words(word))

    @cached_property
    def forms(self) -> frozenset[str]:
        """The words with each ending that makes another form of one."""
        return frozenset(word + ending for word in self.words for ending in ("", "s", "es", "ed", "ing"))

    @cached_property
    def _by_shape(self) -> Mapping[tuple[str, int], list[str]]:
        found = defaultdict[tuple[str, int], list[str]](list)
        for word in self.words:
            found[word[0], len(word)].append(word)
        return dict(found)

    def near(self, word: str) -> list[str]:
        """The words with the same first letter that are at most one letter longer or shorter."""
        lengths = range(len(word) - 1, len(word) + 2)
        return [each for length in lengths for each in self._by_shape.get((word[0], length), [])]

    def has(self, word: str) -> bool:
        """Whether a word is one of these, in any of its forms."""
        found = content_words(word)
        return bool(found) and found <= self.stems

    def lacks(self, phrase: str) -> bool:
        """Whether a phrase has a word that is none of these."""
        return not content_words(phrase) <= self.stems

    def is_head(self, word: str) -> bool:
        """Whether a word names a thing."""
        return content_words(word) <= self.heads

    def go_together(self, first: str, second: str) -> bool:
        """Whether one thing may have both properties."""
        return self.stands_before(first, second) or self.stands_before(second, first)

    def stands_before(self, first: str, second: str) -> bool:
        """Whether a word stands directly before another one in a caption."""
        one, other = (next(iter(content_words(word)), "") for word in (first, second))
        return (one, other) in self.pairs

    def is_place(self, preposition: str, phrase: str) -> bool:
        """Whether a preposition and what follows it say where or when pictures are."""
        return f"{preposition} {phrase}" in self.places

    def place_of(self, word: str) -> str:
        """What stands before a word that only says where or when pictures are: "in the" of "snow"."""
        return next(
            (before for phrase, before in self.places.items() if before and phrase.endswith(f" {word}")), ""
        )


NO_WORDS = Vocabulary()


def vocabulary_of(images: Collection | None) -> Vocabulary:
    """The vocabulary of the first captions of a collection; empty where there is no collection."""
    if images is None:
        return NO_WORDS
    return read_captions(tuple(images.caption(name) for name in images.ids[:CAPTIONS]))


@lru_cache(maxsize=8)
def read_captions(captions: tuple[str, ...]) -> Vocabulary:
    """The vocabulary of captions."""
    words, last, inner = Counter[str](), Counter[str](), Counter[str]()
    pairs, places, placed = set[tuple[str, str]](), dict[str, str](), Counter[str]()
    for caption in captions:
        for line in re.split(r"[.,;:!?()\n]", caption.lower()):
            told = re.findall(r"[^\W_]+", line)
            for word, after in zip(told, [*told[1:], "a"], strict=False):
                stem = "" if word in PREPOSITION else next(iter(content_words(word)), "")
                if stem:
                    words[word] += 1
                    (last if after in FUNCTION or after in PREPOSITION else inner)[stem] += 1
                    pairs |= {(stem, other) for other in content_words(after)}
            if ending := _ending(told):
                phrase = " ".join(word for word in ending if word not in _ARTICLES)
                places.setdefault(phrase, " ".join(ending[:-1]))
                placed[ending[-1]] += 1
    heads = frozenset(stem for stem in last if last[stem] > inner[stem])
    only = {word for word in placed if placed[word] == words[word]}
    places = {phrase: before if phrase.split()[-1] in only else "" for phrase, before in places.items()}
    return Vocabulary(words, heads, frozenset(pairs), places)


def _ending(told: list[str]) -> list[str]:
    """A line's last preposition with what follows it; nothing where that is no word or more than three."""
    for place in range(len(told) - 1, -1, -1):
        if told[place] in PREPOSITION:
            phrase = [word for word in told[place + 1 :] if word not in _ARTICLES]
            return told[place:] if 1 <= len(phrase) <= 3 else []
    return []

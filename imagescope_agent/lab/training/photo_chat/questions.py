"""Yes/no questions about photos, made from captions: what is there and what is not, colours, numbers, doing.

What no caption of a photo says counts as absent, so some answers are wrong: captions leave things out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from imagescope_agent.lab.scenes.conditions import CARDINALS

COLOURS = (
    "black",
    "white",
    "red",
    "blue",
    "brown",
    "green",
    "yellow",
    "orange",
    "pink",
    "tan",
    "grey",
    "purple",
)
NUMBERS = CARDINALS[1:6]
SORTS = ("thing", "colour", "number", "doing", "caption")
LEAST = 0.003  # share of the photos whose captions hold a word that is asked for
LEAST_PHOTOS = 3
_WORD = re.compile(r"[a-z]+")
_THING = re.compile(r"\b(an?|the)\s+([a-z]{3,})\b")
_COLOURED = re.compile(rf"\b({'|'.join(COLOURS)}) ([a-z]{{3,}})\b")
_LOOKS = "|".join((*COLOURS, "young", "small", "little", "large"))
_COUNTED = re.compile(
    rf"\b({'|'.join(NUMBERS)}) (?:(?:{_LOOKS}) )?([a-z]{{2,}}s|men|women|children|people)\b"
)
_NO_DOING = frozenset(
    {"something", "building", "during", "clothing", "swing", "railing", "ring", "string", "being", "thing"}
)
_NO_THING = frozenset(
    {*COLOURS, *NUMBERS, "air", "back", "background", "camera", "front", "middle", "other", "side", "top"}
    | {"young", "small", "large", "little", "old", "older", "big", "long", "picture", "photo"}
)

_Found = TypeVar("_Found", str, tuple[str, str])


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about a photo.

    Args:
        sort: one of `SORTS`.
        text: as it is asked.
        statement: what a photo shows where the answer is yes, as a caption.
        answer: whether it is.
    """

    sort: str
    text: str
    statement: str
    answer: bool


class Lexicon:
    """What captions of many photos speak of, by which questions are made.

    Args:
        photos: the captions of each photo.
    """

    def __init__(self, photos: Sequence[Sequence[str]]) -> None:
        least = max(LEAST_PHOTOS, LEAST * len(photos))
        told = [spoken(captions) for captions in photos]
        self.words = _often(({*_WORD.findall(each)} for each in told), least)
        articles = Counter(pair for each in told for pair in set(_THING.findall(each)))
        self.things = {
            word: "the"
            if articles["the", word] > articles["a", word] + articles["an", word]
            else _article(word)
            for word in _often(({word for _, word in _THING.findall(each)} for each in told), least)
            if word not in _NO_THING and not word.endswith("ing")
        }
        self.doing = [word for word in self.words if word.endswith("ing") and word not in _NO_DOING]
        self.coloured = _often(({*_COLOURED.findall(each)} for each in told), LEAST_PHOTOS)
        self.counted = _often(({*_COUNTED.findall(each)} for each in told), LEAST_PHOTOS)

    def ask(
        self, sort: str, captions: Sequence[str], others: Sequence[str], answer: bool, rng: Random
    ) -> Question | None:
        """A question with that answer; None where these captions give none.

        Args:
            sort: one of `SORTS`.
            captions: of the photo.
            others: captions of other photos, for a wrong "caption".
            answer: yes or no.
            rng: what is asked.
        """
        text = spoken(captions)
        if sort == "caption":
            found = rng.choice([*(captions if answer else others)]).strip(" .").lower()
            return Question(sort=sort, text=f"Does it show {found}?", statement=found, answer=answer)
        if sort in ("thing", "doing"):
            return self._word(sort, {*_WORD.findall(text)}, answer, rng)
        pattern, known = (_COLOURED, self.coloured) if sort == "colour" else (_COUNTED, self.counted)
        return self._pair(sort, {*pattern.findall(text)}, text, known, answer, rng)

    def _word(self, sort: str, said: set[str], answer: bool, rng: Random) -> Question | None:
        known = list(self.things) if sort == "thing" else self.doing
        fits = [word for word in known if (word in said) == answer]
        if not fits:
            return None
        # as often as people speak of it: frequent words are asked for, too, where they are not there
        word = rng.choices(fits, [self.words.get(each, 1) ** 0.5 for each in fits])[0]
        if sort == "doing":
            return Question(sort=sort, text=f"Is anyone {word}?", statement=f"someone {word}", answer=answer)
        named = word if self.things[word] == "the" else f"{self.things[word]} {word}"
        return Question(sort=sort, text=f"Is there {named}?", statement=named, answer=answer)

    def _pair(
        self,
        sort: str,
        said: set[tuple[str, str]],
        text: str,
        known: dict[tuple[str, str], int],
        answer: bool,
        rng: Random,
    ) -> Question | None:
        fits = sorted(said & known.keys())
        if not answer:
            nouns = {noun for _, noun in fits} or {
                noun for _, noun in known if re.search(rf"\b{noun}\b", text)
            }
            fits = [pair for pair in known if pair[1] in nouns and not re.search(rf"\b{pair[0]}\b", text)]
        if not fits:
            return None
        value, noun = rng.choices(fits, [known[each] for each in fits])[0]
        if sort == "number":
            return Question(
                sort=sort, text=f"Are there {value} {noun}?", statement=f"{value} {noun}", answer=answer
            )
        named = f"{value} {noun}" if noun.endswith("s") else f"{_article(value)} {value} {noun}"
        verb = "Are" if noun.endswith("s") else "Is"
        return Question(sort=sort, text=f"{verb} there {named}?", statement=named, answer=answer)


def spoken(captions: Sequence[str]) -> str:
    """All captions of a photo as one text in lower case."""
    return " | ".join(captions).lower()


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _often(photos: Iterable[set[_Found]], least: float) -> dict[_Found, int]:
    """In how many photos each is found, of those that are found in enough."""
    counts = Counter(each for found in photos for each in found)
    return {each: count for each, count in sorted(counts.items()) if count >= least}

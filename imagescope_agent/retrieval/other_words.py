"""Words that a profile's models were not taught, read as the nearest of those that they were: "kitty" as "cat".

The folder of a domain (`retrieval.domain`) may hold `names.json`: {"format": 1, "names": {sort: {name: further words
for it}}, "others": words for what the models know nothing of}. A further word is its name. Any other word is compared
by a sentence encoder with all of these, a nearest-neighbour rule with a reject option (Chow, 1970): it is read where it
is near enough to a name, and clearly nearer than to the words of any other name and to what is none of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.sentence_encoder import SentenceEncoder
from imagescope_agent.retrieval.function_words import FUNCTION_WORDS
from imagescope_agent.retrieval.proper_names import as_they_stand
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.retrieval.vectors import Vectors

FILE, FORMAT, LARGEST = "names.json", 1, 2**20
#: Cosine and lead over the second, calibrated on tests/retrieval/data/other_words.jsonl.
NEAR, LEAD = 0.5, 0.02
NEAR_IN_PIECES = 0.62  # of a word outside the encoder's vocabulary: a compound, a foreign word, nonsense
COUNTED = "thing"  # the sort that has a plural, and stands behind its properties
LISTED = "colour"  # a sort of which only the listed words are read: the encoder finds 16 of 35 shades
NAMING = frozenset([COUNTED, "place"])
#: Words behind a colour that is said of nothing: "a violet beside a house" is a flower.
_NO_NOUN = FUNCTION_WORDS | frozenset("""
    next near beside behind under below above over between among amid around along inside outside without within
    against towards toward during after before across through not
""".split())  # fmt: skip  # noqa: SIM905
#: What is done and no thing: "can you order me a pizza", "order us one".
_DOES = (
    r"\b(?:i|you|we|they|can|could|would|will|should|must|let's)(?:\s+(?:also|just|please|ever|even|really))*"
    r"\s+{word}\b|\b{word}\s+(?:me|us|him|them)\b"
)
#: Words for a picture as a whole, and for nothing in it: "same order, just in the snow".
_OF_WHOLE = frozenset(
    "order layout arrangement composition version vibe mood style setup concept format angle perspective".split()  # noqa: SIM905
)
_UNCOUNTED = frozenset(["fish"])
_PLURALS = (("ies", "y"), ("s", ""), ("es", ""))


class OtherWords:
    """Reads the words of a text that were not taught.

    Args:
        names: sort -> name -> further words for it.
        others: words for what is none of these.
        taught: stems of the words that the models learnt, which stay as they are.
        encoder: compares; its weights are read when the first word must be compared.
    """

    def __init__(
        self,
        names: Mapping[str, Mapping[str, list[str]]],
        others: list[str],
        taught: frozenset[str],
        encoder: SentenceEncoder,
    ) -> None:
        self.taught, self.encoder = taught, encoder
        self.sorts = {name: sort for sort, group in names.items() for name in group}
        self.means = {
            word: name
            for group in names.values()
            for name, further in group.items()
            for word in (name, *further)
        }
        self.others = frozenset(others)
        self._words = [*self.means, *others]
        self._labels = np.array([*self.means.values(), *others])

    @classmethod
    def load(cls, folder: Path, taught: frozenset[str], encoder: SentenceEncoder) -> OtherWords | None:
        """What the folder of a domain says; None where it has no names.

        Raises:
            BadInput: the file is damaged.
        """
        try:
            table = parse_json(read_file(folder / FILE, LARGEST))
            if table["format"] != FORMAT:
                raise ValueError
            return cls(table["names"], list(map(str, table["others"])), taught, encoder)
        except FileNotFoundError:
            return None
        except Exception as error:
            raise BadInput(f"{str(folder / FILE)!r} is damaged; install it anew") from error

    def unknown(self, text: str, known: Callable[[str], bool] = lambda word: False) -> list[str]:
        """The describing words of a text that were not taught, in lower case and order, each once."""
        words = dict.fromkeys(re.findall(r"[^\W\d_]{3,}", text.lower()))
        staying = FUNCTION_WORDS | as_they_stand(text)
        describing = [word for word in words if word not in staying]
        return [word for word in describing if not self.taught.issuperset(words_of(word)) and not known(word)]

    def read(self, text: str, known: Callable[[str], bool] = lambda word: False) -> dict[str, str]:
        """Each word of an English text that was not taught and is near to a name -> that name.

        Args:
            text: in any case.
            known: which further words stay as they are.

        Raises:
            BadInput: as `SentenceEncoder.texts`.
        """
        said = self.unknown(text, known)
        named = {word: self.means.get(word) or self.means.get(_singular(word, self.means)) for word in said}
        left = [word for word in said if not named[word]]
        open_ = [word for word in left if word not in self.others and _singular(word, self.others) == word]
        named |= self._nearest(open_) if open_ else {}
        found = {word: name for word in said if (name := named[word]) and self._fits(word, name, text)}
        return {word: self._numbered(word, name) for word, name in found.items()}

    def english(self) -> frozenset[str]:
        """Words that are none with a typing error, since the encoder knows them."""
        return self.encoder.words

    @cached_property
    def weights(self) -> str:
        """Identifies what words are read as: the names, what is none of them, and the encoder."""
        stored = json.dumps(
            [self.means, self.sorts, sorted(self.others), sorted(self.taught), self.encoder.weights]
        )
        return hashlib.sha256(stored.encode()).hexdigest()

    @cached_property
    def _vectors(self) -> Vectors:
        return self.encoder.texts(self._words)

    def _nearest(self, words: list[str]) -> dict[str, str | None]:
        """Each word with the name that it is nearest to, None where it is no other word for one."""
        vocabulary = self.encoder.words
        forms = [word if word in vocabulary else _singular(word, vocabulary) for word in words]
        alike = self.encoder.texts(forms) @ self._vectors.T
        found: dict[str, str | None] = dict.fromkeys(words)
        for word, form, row in zip(words, forms, alike, strict=True):
            best = int(row.argmax())
            name = str(self._labels[best])
            second = float(row[self._labels != name].max())
            least = NEAR if form in vocabulary else NEAR_IN_PIECES
            if row[best] >= least and row[best] - second >= LEAD and self.sorts.get(name, LISTED) != LISTED:
                found[word] = name
        return found

    def _fits(self, word: str, name: str, text: str) -> bool:
        """Whether a name may stand in a word's place: "a toy boat" is no "car boat", and "a lemon" no "yellow"."""
        if self.sorts[name] == LISTED:
            behind = re.findall(rf"\b{re.escape(word)}[ -]+([^\W\d_]{{3,}})", text.lower())
            return any(after not in _NO_NOUN and not after.endswith("ing") for after in behind)
        if self.sorts[name] not in NAMING:
            return True
        if word in _OF_WHOLE and word not in self.means:
            return False
        if re.search(_DOES.replace("{word}", re.escape(word)), text, re.I):
            return False
        behind = re.findall(rf"\b{re.escape(word)}[ -]+([^\W\d_]+)", text.lower())
        return not any(self._is_thing(after) for after in behind)

    def _is_thing(self, word: str) -> bool:
        name = self.means.get(word) or self.means.get(_singular(word, self.means))
        return name is not None and self.sorts[name] == COUNTED

    def _numbered(self, word: str, name: str) -> str:
        """The name in the number of a word."""
        counted = self.sorts[name] == COUNTED and name not in _UNCOUNTED
        plural = word.endswith("s") and not word.endswith("ss") and word not in self.means
        return f"{name}s" if counted and plural else name


def in_read_words(text: str, read: Mapping[str, str]) -> str:
    """A text with what was read in the place of what was said; "a brolly" becomes "an umbrella"."""
    for said, meant in read.items():
        article = "an" if meant[0] in "aeiou" else "a"
        text = re.sub(rf"\ban?(?=\s+{re.escape(said)}\b)", article, text, flags=re.I)
        text = re.sub(rf"\b{re.escape(said)}\b", meant, text, flags=re.I)
    return text


def told_readings(read: Mapping[str, str]) -> str:
    """What was read as what, in words; "" for nothing."""
    return ", ".join(f"read {said!r} as {meant!r}" for said, meant in read.items())


def _singular(word: str, words: Mapping[str, str] | frozenset[str]) -> str:
    """The singular of a word, if that is among some; else the word."""
    for ending, instead in _PLURALS:
        if word.endswith(ending) and (one := word.removesuffix(ending) + instead) in words:
            return one
    return word

"""A simulated user of a drawn world, who answers questions from the scene graph of the target image alone.

No file name, caption or image reaches the user, so none can leak into an answer. An answer is yes or no or, to an open
question, a colour, a size, a number or the setting, in the words of VisDial's dialogs. A question that cannot be
parsed, or that names what the drawn world does not contain, is answered with "skip".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.encodings import decoded
from imagescope_agent.lab.scenes.conditions import NUMBERS, PLURALS, SETTING_PHRASE, Pattern, stands
from imagescope_agent.lab.scenes.language import SETTING_WORDS, SIZE_WORDS, SYNONYMS, join
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, RELATIONS, SETTINGS, Scene, Thing

SKIP = "skip"
_KIND = {
    **{kind: kind for kind in KINDS},
    **{plural: kind for kind, plural in PLURALS.items() if kind != "thing"},
    **{other: kind for kind, others in SYNONYMS.items() for other in others},
    **{f"{other}s": kind for kind, others in SYNONYMS.items() for other in others},
    **dict.fromkeys(("thing", "things", "object", "objects", "anything", "something"), ""),
}
_SIZE = {word: size for size, words in SIZE_WORDS.items() for word in words}
_RELATION = {
    **{relation.split(" ")[0]: relation for relation in RELATIONS},
    **{"over": "above", "under": "below", "underneath": "below", "beneath": "below"},
}
_PHRASES = [
    (re.escape(words), f" @{name} ") for name, several in SETTING_WORDS.items() for words in several
] + [(rf"\b(?:in|on|at) (?:the |an? )?(?:{name})\b", f" @{name} ") for name in SETTINGS]
_NUMBER = {**{word: n for n, word in enumerate(NUMBERS)}, **{str(n): n for n in range(len(NUMBERS))}}
_FUNCTION_WORDS = re.compile(
    r"an?|the|is|are|there|it|in|of|to|with|and|picture|image|scene|any|some|exactly|just|wanted|you|can|see|do|does|"
    r"show|has|have|contain|looking|for|be|taking|place|set|please|tell|me|could|would|that|this|your|side|on|here|"
    r"true|at|than"
)


@dataclass(frozen=True, kw_only=True)
class NounPhrase:
    """A noun phrase of a question: a pattern of things, and how many of them ("exactly", "at least", "more than")."""

    pattern: Pattern
    number: int | None = None
    least: bool = False

    def holds(self, scene: Scene) -> bool:
        """Whether the scene has so many; at least one where no number is named."""
        there = len(self.pattern.among(scene))
        if self.number is None:
            return there > 0
        return there >= self.number if self.least else there == self.number


@dataclass(frozen=True, kw_only=True)
class ParsedQuestion:
    """A parsed yes/no question: things, the relation of the first to the second, a setting."""

    phrases: tuple[NounPhrase, ...] = ()
    relation: str | None = None
    setting: str | None = None

    def holds(self, scene: Scene) -> bool:
        """Whether all of it is true of the scene."""
        if self.setting is not None and scene.setting != self.setting:
            return False
        if self.relation is None:
            return all(phrase.holds(scene) for phrase in self.phrases)
        first, second = (phrase.pattern.among(scene) for phrase in self.phrases)
        return any(stands(a, self.relation, b) for a in first for b in second if a is not b)


class SimulatedUser:
    """A user whose target image shows `scene`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def answer(self, question: str) -> str:
        """ "yes", "no", the answer to an open question, or "skip" where the question cannot be parsed."""
        words = " ".join(question.lower().rpartition(":")[2].split()).rstrip("?")
        for form, answer_from in _OPEN:
            if match := form.fullmatch(words):
                return answer_from(self.scene, *map(parse_noun_phrase, match.groups())) or SKIP
        parsed = parse_scene_question(question)
        if parsed is None:
            return SKIP
        return "yes" if parsed.holds(self.scene) else "no"


def parse_noun_phrase(words: str) -> Pattern | None:
    """The things that a noun phrase names ("red house", "cats"); None where one of its words is not known."""
    parser = _QuestionParser()
    if not all(parser.take(word) for word in words.split()) or len(parser.phrases) != 1:
        return None
    return parser.phrases[0].pattern


def _where(scene: Scene) -> str:
    return SETTING_PHRASE[scene.setting]


def _many(scene: Scene, pattern: Pattern | None) -> str | None:
    return None if pattern is None else NUMBERS[len(pattern.among(scene))]


def _colours(scene: Scene, pattern: Pattern | None) -> str | None:
    return None if pattern is None else join([thing.colour for thing in pattern.among(scene)])


def _size(scene: Scene, pattern: Pattern | None) -> str | None:
    """Of things that are all of one size."""
    sizes = {thing.size for thing in pattern.among(scene)} if pattern is not None else set()
    return sizes.pop() if len(sizes) == 1 else None


#: Forms of open questions, and the functions that answer them; an empty answer means "skip".
_OPEN: tuple[tuple[re.Pattern[str], Callable[..., str | None]], ...] = (
    (re.compile(r"where is (?:it|the (?:picture|scene))"), _where),
    (re.compile(r"how many (\w+) are there"), _many),
    (re.compile(r"what colours? (?:is|are) the ([\w ]+)"), _colours),
    (re.compile(r"(?:is|are) the ([\w ]+) (?:large or small|small or large)"), _size),
)


def parse_scene_question(question: str) -> ParsedQuestion | None:
    """Parse a yes/no question in the drawn world's English; None where a word of it is not known."""
    text = question.lower().rpartition(":")[2]
    for words, mark in _PHRASES:
        text = re.sub(words, mark, text)
    tokens = re.findall(r"@\w+|\w+", re.sub(r"\b(left|right) of\b", r"\1", text))
    parser = _QuestionParser()
    return parser.result() if all(parser.take(token) for token in tokens) else None


class _QuestionParser:
    """Parses word by word; adjectives belong to the next noun, or to the last one ("is the house red")."""

    def __init__(self) -> None:
        self.phrases: list[NounPhrase] = []
        self.relation: str | None = None
        self.setting: str | None = None
        self.pattern = Pattern()
        self.number: int | None = None
        self.least = 0  # 1 for "at least", 2 for "more than"

    def take(self, word: str) -> bool:
        if word in COLOURS:
            self.pattern = replace(self.pattern, colour=word)
        elif word in _SIZE:
            self.pattern = replace(self.pattern, size=_SIZE[word])
        elif word in _KIND:
            self._noun(_KIND[word] or None)
        elif word in _RELATION and self.phrases and self.relation is None:
            self.relation = _RELATION[word]
        elif word.startswith("@") and self.setting is None:
            self.setting = word[1:]
        elif word in ("least", "more"):
            self.least = 1 if word == "least" else 2
        elif word in _NUMBER or word == "without":
            self.number = _NUMBER.get(word, 0)
        elif word in ("missing", "absent") and self.phrases:
            self.phrases[-1] = replace(self.phrases[-1], number=0)
        else:
            return _FUNCTION_WORDS.fullmatch(word) is not None
        return True

    def result(self) -> ParsedQuestion | None:
        if self.pattern != Pattern():  # no noun followed: the adjectives belong to the last one
            if not self.phrases:
                return None
            last = self.phrases.pop()
            pattern = replace(
                last.pattern,
                colour=self.pattern.colour or last.pattern.colour,
                size=self.pattern.size or last.pattern.size,
            )
            self.phrases.append(replace(last, pattern=pattern))
        if (self.relation is not None and len(self.phrases) != 2) or not (self.phrases or self.setting):
            return None
        return ParsedQuestion(phrases=tuple(self.phrases), relation=self.relation, setting=self.setting)

    def _noun(self, kind: str | None) -> None:
        number = None if self.number is None else self.number + (self.least == 2)
        phrase = NounPhrase(pattern=replace(self.pattern, kind=kind), number=number, least=self.least > 0)
        self.phrases.append(phrase)
        self.pattern, self.number, self.least = Pattern(), None, 0


LARGEST = 2**30  # bytes of scenes.jsonl


def read_scenes(root: Path) -> dict[str, Scene]:
    """The scene graphs of a drawn world by image.

    Raises:
        BadInput: scenes.jsonl is missing or malformed.
    """
    path = root / "scenes.jsonl"
    try:
        return dict(_scenes(decoded(read_file(path, LARGEST, follow=True)).splitlines()))
    except FileNotFoundError:
        raise BadInput(f"{path}: missing; draw the world anew with `imagescope scenes make`") from None
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"{path}: malformed ({error}); draw the world anew") from error


def _scenes(lines: Sequence[str]) -> Iterator[tuple[str, Scene]]:
    for line in lines:
        record: dict[str, Any] = parse_json(line)
        name = record.pop("id")
        things = tuple(Thing(**thing) for thing in record.pop("things"))
        yield name, Scene(things=things, **record)

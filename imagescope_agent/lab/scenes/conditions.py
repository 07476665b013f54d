"""Conditions on a scene graph: existence, absence, counts, relations, settings, with their English.

A query is a list of conditions; an image is relevant when every condition holds. The same conditions give the ground
truth of retrieval, the verifier's questions with expected answers, and the steps a reasoner should find.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from imagescope_agent.lab.scenes.world import Scene, Thing

CARDINALS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
NUMBERS = ("no", *CARDINALS[:6])  # of the things of a scene
PLURALS = {"house": "houses", "tree": "trees", "boat": "boats", "car": "cars", "fish": "fish", "flower": "flowers",
           "star": "stars", "heart": "hearts", "umbrella": "umbrellas", "cat": "cats", "thing": "things"}  # fmt: skip
SETTING_PHRASE = {
    "meadow": "in a meadow",
    "beach": "on a beach",
    "desert": "in the desert",
    "snow": "in the snow",
    "sunset": "at sunset",
    "night": "at night",
}


@dataclass(frozen=True)
class Pattern:
    """Matches things by kind, colour and size; `None` matches any value."""

    kind: str | None = None
    colour: str | None = None
    size: str | None = None

    def matches(self, thing: Thing) -> bool:
        """Whether `thing` has the kind, colour and size given."""
        return (
            self.kind in (None, thing.kind)
            and self.colour in (None, thing.colour)
            and self.size in (None, thing.size)
        )

    def among(self, scene: Scene) -> list[Thing]:
        """The things of `scene` that match, from left to right."""
        return [thing for thing in scene.things if self.matches(thing)]

    def words(self, number: int | None = None) -> str:
        """A noun phrase: "a large red house", or "two red houses" for a number."""
        noun = self.kind or "thing"
        words = [word for word in (self.size, self.colour) if word]
        if number is not None:
            return " ".join([NUMBERS[number], *words, noun if number == 1 else PLURALS[noun]])
        phrase = " ".join([*words, noun])
        return ("an " if phrase[0] in "aeiou" else "a ") + phrase

    @property
    def bare(self) -> str:
        """The noun phrase without article: "large red house"."""
        return " ".join(word for word in (self.size, self.colour, self.kind or "thing") if word)


class Condition(Protocol):
    """A predicate on scenes."""

    def holds(self, scene: Scene) -> bool:
        """Whether it is true of `scene`."""
        ...

    def words(self) -> str:
        """The text of the atomic instruction that asks for it."""
        ...

    def question(self) -> str:
        """The yes/no question a verifier is asked."""
        ...

    @property
    def expected(self) -> str:
        """The answer ("Yes" or "No") for an image for which it holds."""
        ...


@dataclass(frozen=True)
class _OfPattern:
    """A condition whose question asks whether some thing matches."""

    pattern: Pattern

    def words(self) -> str:
        return self.pattern.words()

    def question(self) -> str:
        return f"Is there {self.words()}?"


class Exists(_OfPattern):
    """At least one thing matches."""

    expected = "Yes"

    def holds(self, scene: Scene) -> bool:
        return bool(self.pattern.among(scene))


class Absent(_OfPattern):
    """No thing matches; its question asks whether one exists, and the expected answer is No."""

    expected = "No"

    def holds(self, scene: Scene) -> bool:
        return not self.pattern.among(scene)


@dataclass(frozen=True)
class Count:
    """Exactly `number` things match."""

    pattern: Pattern
    number: int
    expected = "Yes"

    def holds(self, scene: Scene) -> bool:
        return len(self.pattern.among(scene)) == self.number

    def words(self) -> str:
        return f"exactly {self.pattern.words(self.number)}"

    def question(self) -> str:
        return f"{'Is' if self.number == 1 else 'Are'} there {self.words()}?"


@dataclass(frozen=True)
class Related:
    """Some match of `first` is `relation` ("left of", "above", ...) some match of `second`, as the viewer sees it."""

    first: Pattern
    relation: str
    second: Pattern
    expected = "Yes"

    def holds(self, scene: Scene) -> bool:
        return any(
            stands(a, self.relation, b)
            for a in self.first.among(scene)
            for b in self.second.among(scene)
            if a is not b
        )

    def words(self) -> str:
        return f"{self.first.words()} {self.relation} {self.second.words()}"

    def question(self) -> str:
        return f"Is there {self.words()}?"


@dataclass(frozen=True)
class _OfSetting:
    """A condition whose question asks whether the scene has a setting."""

    name: str

    def words(self) -> str:
        return f"the scene {SETTING_PHRASE[self.name]}"

    def question(self) -> str:
        return f"Is {self.words()}?"


class InSetting(_OfSetting):
    """The scene has this setting."""

    expected = "Yes"

    def holds(self, scene: Scene) -> bool:
        return scene.setting == self.name


class NotInSetting(_OfSetting):
    """The scene has another setting; its question asks for this one, and the expected answer is No."""

    expected = "No"

    def holds(self, scene: Scene) -> bool:
        return scene.setting != self.name


def stands(first: Thing, relation: str, second: Thing) -> bool:
    """Whether the centre of `first` is left of, right of, above or below that of `second`."""
    return {
        "left of": first.x < second.x,
        "right of": first.x > second.x,
        "above": first.y < second.y,
        "below": first.y > second.y,
    }[relation]


def satisfies(scene: Scene, conditions: Iterable[Condition]) -> bool:
    """Whether every condition holds."""
    return all(condition.holds(scene) for condition in conditions)


def predicates(conditions: Iterable[Condition]) -> list[dict[str, str]]:
    """The verification question of each condition, with the answer expected for a relevant image."""
    return [{"question": c.question(), "expected": c.expected} for c in conditions]


def full_pattern(thing: Thing) -> Pattern:
    """The pattern of a thing's kind, colour and size."""
    return Pattern(thing.kind, thing.colour, thing.size)

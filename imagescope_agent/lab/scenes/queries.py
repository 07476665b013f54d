"""Queries with ground truth: the text, typed steps and target descriptions at three levels of detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagescope_agent.lab.scenes.conditions import SETTING_PHRASE, Condition, Pattern
from imagescope_agent.lab.scenes.language import join
from imagescope_agent.lab.scenes.world import Thing


@dataclass(frozen=True)
class QueryStep:
    """One atomic instruction: ImageScope's type ("Addition", "Removal", ...) and the condition it stands for."""

    type: str
    condition: Condition


@dataclass(frozen=True, kw_only=True)
class SceneQuery:
    """A query and its parse: typed steps and target descriptions at three levels of detail.

    Attributes:
        kind: one of `TEXT_KINDS` or `COMPOSED_KINDS`, "mixed" or "caption".
        text: the query or, for a composed query, the modification text.
        steps: atomic instructions with the conditions a relevant image satisfies.
        core: description with kinds and colours only.
        enhanced: the same with what else the text says.
        full: everything known of the target.
        places: for a composed query the position of each step in the reference: index of a thing, then one past
            them for the setting, then one more for what is new.
    """

    kind: str
    text: str
    steps: tuple[QueryStep, ...]
    core: str
    enhanced: str
    full: str
    places: tuple[int, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the steps, in their order."""
        return tuple(step.condition for step in self.steps)


def kind_colour_patterns(things: Sequence[Thing]) -> list[Pattern]:
    """A pattern of kind and colour for each thing."""
    return [Pattern(thing.kind, thing.colour) for thing in things]


def with_setting(text: str, setting: str | None) -> str:
    """A description followed by its setting, if any."""
    return f"{text} {SETTING_PHRASE[setting]}" if setting else text


def listing(patterns: Sequence[Pattern]) -> str:
    """ "a red house, a boat and a blue star"."""
    return join([pattern.words() for pattern in patterns])

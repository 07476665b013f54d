"""What a search is: its words, and what they mean as typed steps and target descriptions at three grains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagescope_agent.lab.scenes.conditions import SETTING_PHRASE, Condition, Pattern
from imagescope_agent.lab.scenes.edits import Step
from imagescope_agent.lab.scenes.language import join
from imagescope_agent.lab.scenes.world import Thing


@dataclass(frozen=True, kw_only=True)
class Query:
    """A search and its meaning: typed steps and target descriptions at three grains.

    `places` says for each step of a composed query where in the reference it takes hold: index of a thing, then the
    setting, then what is new.
    """

    kind: str
    text: str
    steps: tuple[Step, ...]
    core: str
    enhanced: str
    full: str
    places: tuple[int, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What an image must fulfil, in the order of the steps."""
        return tuple(step.condition for step in self.steps)


def looks_of(things: Sequence[Thing]) -> list[Pattern]:
    """Kind and colour of each thing."""
    return [Pattern(thing.kind, thing.colour) for thing in things]


def with_place(text: str, setting: str | None) -> str:
    """A description with its setting, where there is one."""
    return f"{text} {SETTING_PHRASE[setting]}" if setting else text


def listing(patterns: Sequence[Pattern]) -> str:
    """ "a red house, a boat and a blue star"."""
    return join([pattern.words() for pattern in patterns])

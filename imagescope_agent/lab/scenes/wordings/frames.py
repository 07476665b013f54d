"""Sentence frames by group and kind; some are held out, to measure reading in frames that no training has seen."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from random import Random
from string import Formatter
from zlib import crc32

_HELD_OUT = 8  # one frame in so many


@cache
def frames(group: str, kind: str, *, unseen: bool = False) -> tuple[str, ...]:
    """The frames of a kind that are taught, or those held out; where none is held out, those that are taught."""
    every = every_frame()[group][kind]
    held = tuple(each for each in every if crc32(each.encode()) % _HELD_OUT == 0)
    taught = tuple(each for each in every if each not in held) or held
    return held if unseen and held else taught


def frame(group: str, kind: str, rng: Random, *, unseen: bool = False) -> str:
    """A random frame, see `frames`."""
    return rng.choice(frames(group, kind, unseen=unseen))


@cache
def frames_with(group: str, kind: str, slots: frozenset[str], *, unseen: bool = False) -> tuple[str, ...]:
    """Those of `frames` that have just these slots beside the things k, x and y."""
    return tuple(
        each for each in frames(group, kind, unseen=unseen) if _slots(each) - {"k", "x", "y"} == slots
    )


def _slots(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name}


@cache
def every_frame() -> dict[str, dict[str, list[str]]]:
    """All frames by group and kind."""
    place = files("imagescope_agent.lab.scenes.wordings") / "frames.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))

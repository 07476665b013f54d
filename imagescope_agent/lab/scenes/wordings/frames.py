"""Sentence frames by group and kind; some are held out, to measure reading in frames that no training has seen."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from random import Random
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
def every_frame() -> dict[str, dict[str, list[str]]]:
    """All frames by group and kind."""
    place = files("imagescope_agent.lab.scenes.wordings") / "frames.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))

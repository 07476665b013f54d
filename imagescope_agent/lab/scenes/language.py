"""How people word things: captions, lists, settings and the many ways to ask for the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import SETTING_PHRASE, Pattern, full_pattern
from imagescope_agent.lab.scenes.world import Scene, Thing

SYNONYMS = {"boat": ("ship",), "house": ("cottage",), "cat": ("kitten",), "car": ("automobile",)}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
SETTING_WORDS = {
    "meadow": ("in a meadow", "on green grass", "out in the meadow"),
    "beach": ("on a beach", "by the sea", "at the seaside"),
    "desert": ("in the desert", "among the dunes", "on desert sand"),
    "snow": ("in the snow", "in winter", "on a snowy day"),
    "sunset": ("at sunset", "at dusk", "in the evening light"),
    "night": ("at night", "after dark", "under a night sky"),
}


def join(phrases: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(phrases) < 2:
        return "".join(phrases)
    return ", ".join(phrases[:-1]) + " and " + phrases[-1]


def caption(scene: Scene) -> str:
    """The one sentence that names everything, from left to right: what the captioner is taught to say."""
    things = join([full_pattern(thing).words() for thing in scene.things])
    return f"From left to right: {things}, {SETTING_PHRASE[scene.setting]}."


def reworded(pattern: Pattern, rng: Random) -> str:
    """The noun phrase of a pattern, now and then with another word for its size or kind."""
    size = rng.choice(SIZE_WORDS[pattern.size]) if pattern.size and rng.random() < 0.5 else pattern.size
    kind = pattern.kind or "thing"
    if kind in SYNONYMS and rng.random() < 0.2:
        kind = rng.choice(SYNONYMS[kind])
    return " ".join(word for word in (size, pattern.colour, kind) if word)


def with_article(phrase: str) -> str:
    """ "a house", "an umbrella"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def free_caption(scene: Scene, rng: Random, *, keep: float = 1.0) -> str:
    """One of many captions a person might write: any order, some details left out (each kept with chance `keep`)."""
    return described(scene, rng, keep=keep)[0]


def described(scene: Scene, rng: Random, *, keep: float = 1.0) -> tuple[str, list[Pattern], str | None]:
    """As `free_caption`, with what it names in its order, and the setting where it is told."""
    things = list(scene.things)
    rng.shuffle(things)
    if keep < 1:
        things = [thing for thing in things if rng.random() < keep] or things[:1]
    looks = [_some_of(thing, rng, keep) for thing in things]
    phrases = [with_article(reworded(look, rng)) for look in looks]
    place = rng.choice(SETTING_WORDS[scene.setting])
    shapes = [f"{join(phrases)} {place}", f"{join(phrases)}, {place}", f"{place}: {join(phrases)}",
              f"a picture of {join(phrases)} {place}", f"{join(phrases)}"]  # fmt: skip
    text = rng.choice(shapes[: 4 if rng.random() < 0.75 else 5])
    return text, looks, None if text == shapes[4] else scene.setting


def _some_of(thing: Thing, rng: Random, keep: float) -> Pattern:
    sized = thing.size if rng.random() < 0.5 * keep else None
    return Pattern(thing.kind, thing.colour if rng.random() < 0.5 + keep / 2 else None, sized)


def opening(rng: Random) -> str:
    """How a search starts, or nothing at all."""
    return rng.choice(
        (
            "",
            "",
            "",
            "a picture of ",
            "find ",
            "show me ",
            "I am looking for ",
            "a scene with ",
            "an image with ",
        )
    )

"""Templates and synonyms that turn scene graphs into English: captions, lists, settings, query prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from imagescope_agent.lab.scenes.conditions import PLURALS, SETTING_PHRASE, Pattern, full_pattern
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
    """The canonical caption: every thing from left to right, then the setting. The captioner is trained on it."""
    things = join([full_pattern(thing).words() for thing in scene.things])
    return f"From left to right: {things}, {SETTING_PHRASE[scene.setting]}."


def reworded(pattern: Pattern, rng: Random) -> str:
    """The noun phrase of a pattern, at random with a synonym for its size or kind."""
    size = rng.choice(SIZE_WORDS[pattern.size]) if pattern.size and rng.random() < 0.5 else pattern.size
    kind = pattern.kind or "thing"
    if kind in SYNONYMS and rng.random() < 0.2:
        kind = rng.choice(SYNONYMS[kind])
    return " ".join(word for word in (size, pattern.colour, kind) if word)


def with_article(phrase: str) -> str:
    """ "a house", "an umbrella"."""
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def plural(phrase: str) -> str:
    """Several of what a noun phrase without an article names: "red houses", "kittens"."""
    *before, noun = phrase.split(" ")
    return " ".join([*before, PLURALS.get(noun, f"{noun}s")])


def free_caption(scene: Scene, rng: Random, *, keep: float = 1.0) -> str:
    """A random paraphrased caption: any order of the things, each detail kept with probability `keep`."""
    return free_caption_parts(scene, rng, keep=keep)[0]


def free_caption_parts(
    scene: Scene, rng: Random, *, keep: float = 1.0
) -> tuple[str, list[Pattern], str | None]:
    """As `free_caption`, with the patterns it names in order, and the setting if it is named."""
    things = list(scene.things)
    rng.shuffle(things)
    if keep < 1:
        things = [thing for thing in things if rng.random() < keep] or things[:1]
    patterns = [_random_details(thing, rng, keep) for thing in things]
    phrases = [with_article(reworded(pattern, rng)) for pattern in patterns]
    place = rng.choice(SETTING_WORDS[scene.setting])
    templates = [f"{join(phrases)} {place}", f"{join(phrases)}, {place}", f"{place}: {join(phrases)}",
              f"a picture of {join(phrases)} {place}", f"{join(phrases)}"]  # fmt: skip
    text = rng.choice(templates[: 4 if rng.random() < 0.75 else 5])
    return text, patterns, None if text == templates[4] else scene.setting


def _random_details(thing: Thing, rng: Random, keep: float) -> Pattern:
    size = thing.size if rng.random() < 0.5 * keep else None
    return Pattern(thing.kind, thing.colour if rng.random() < 0.5 + keep / 2 else None, size)


def search_prefix(rng: Random) -> str:
    """The first words of a query, such as "find "; possibly empty."""
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

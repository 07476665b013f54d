"""Parts of queries as people say them: things, colours and places in many words, slips of the tongue, small talk."""

from __future__ import annotations

import re
from random import Random

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.language import SETTING_WORDS, reworded, with_article
from imagescope_agent.lab.scenes.wordings.frames import frame
from imagescope_agent.lab.scenes.world import COLOURS, KINDS

_AFTER = 0.25  # share of things whose colour is said in other ways than before the noun
_BARE = 0.05  # share of things without an article
_SLIP = 0.04  # share of things and colours that are said wrong first
_AROUND = 0.3  # share of queries with something around them that means nothing
_TAUGHT_PLACE = 0.5  # share of places in the words of the queries that are evaluated


def thing_words(pattern: Pattern, rng: Random, unseen: bool = False, *, other_kinds: bool = False) -> str:
    """A thing, such as "a red boat" or "a boat that is red"; slips of the tongue name `other_kinds` of things, too."""
    words = _thing(pattern, rng, unseen)
    if pattern.colour is None or rng.random() >= _SLIP:
        return words
    wrong = Pattern(pattern.kind, _other_colour(pattern.colour, rng), pattern.size)
    if other_kinds and rng.random() < 0.4:
        wrong = Pattern(rng.choice([kind for kind in KINDS if kind != pattern.kind]), pattern.colour)
    return frame("phrase", "slip", rng, unseen=unseen).format(w=_thing(wrong, rng, unseen), r=words)


def _thing(pattern: Pattern, rng: Random, unseen: bool) -> str:
    if rng.random() < _BARE:
        return reworded(pattern, rng)
    if pattern.colour is None or pattern.kind is None or rng.random() >= _AFTER:
        return with_article(reworded(pattern, rng))
    bare = reworded(Pattern(pattern.kind, None, pattern.size), rng)
    form = frame("phrase", "colour_after", rng, unseen=unseen)
    return with_vowels(form.format(n=with_article(bare), x=bare, c=pattern.colour))


def colour_words(colour: str, rng: Random, unseen: bool = False) -> str:
    """A colour, now and then after a wrong one that is taken back."""
    if rng.random() >= _SLIP:
        return colour
    wrong = _other_colour(colour, rng)
    return frame("phrase", "slip", rng, unseen=unseen).format(w=wrong, r=colour)


def _other_colour(colour: str, rng: Random) -> str:
    return rng.choice([other for other in COLOURS if other != colour])


def place_words(setting: str, rng: Random, unseen: bool = False) -> str:
    """Where a scene is, such as "at night" or "under the stars"."""
    if rng.random() < _TAUGHT_PLACE:
        return rng.choice(SETTING_WORDS[setting])
    return frame("settings", setting, rng, unseen=unseen)


def spoken(text: str, rng: Random, unseen: bool = False) -> str:
    """The text as people type it: with small talk around it, a capital, a full stop, or without the commas."""
    text = with_marks(amid_small_talk(with_vowels(text), rng, unseen), rng)
    return text.replace(",", "") if rng.random() < 0.06 else text


def with_marks(text: str, rng: Random) -> str:
    """The text, in a part of all cases with a capital or a mark at its end."""
    if rng.random() < 0.2:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.15 and text[-1] not in ".?!":
        text += rng.choice((".", ".", "!", "?"))
    return text


def amid_small_talk(text: str, rng: Random, unseen: bool = False) -> str:
    """The text, in a part of all cases with words before or after it that mean nothing for it."""
    if rng.random() >= _AROUND:
        return text
    before, after = rng.choice(((True, False), (False, True), (True, True)))
    if before:
        text = f"{frame('around', 'before', rng, unseen=unseen)} {text}"
    return text.rstrip(".?!") + frame("around", "after", rng, unseen=unseen) if after else text


def with_vowels(text: str) -> str:
    """ "an orange cat", where a frame says "a {x}"."""
    return re.sub(r"\b([Aa]) (?=[aeiou])(?!one|uni|use|eu)", r"\1n ", text)

"""Reads a modification text about a drawn scene and says whether it leads to another scene; it only ever measures.

The reader knows the wordings of `edits` and `composed_queries`. It decides by the scene graphs, as the drawn queries
do: whatever the text does not change must remain with its kind and colour, several of a kind as often, in the same
setting; sizes and positions are free, and so are further things.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from imagescope_agent.lab.scenes.conditions import Pattern
from imagescope_agent.lab.scenes.language import SETTING_WORDS, SIZE_WORDS, SYNONYMS
from imagescope_agent.lab.scenes.world import COLOURS, KINDS, Scene, Thing

_SIZES = {word: size for size, words in SIZE_WORDS.items() for word in words}
_KINDS = {word: kind for kind in KINDS for word in (kind, *SYNONYMS.get(kind, ()))}
_PLACES = {words: setting for setting, each in SETTING_WORDS.items() for words in each}
_NOUN = rf"(?:(?:{'|'.join(_SIZES)}) )?(?:(?:{'|'.join(COLOURS)}) )?(?:{'|'.join(_KINDS)})"
_THE, _A, _COLOUR = rf"the ({_NOUN})", rf"an? ({_NOUN})", f"({'|'.join(COLOURS)})"
_PLACE = f"({'|'.join(sorted(_PLACES, key=len, reverse=True))})"
_LARGER, _SMALLER = "bigger|larger", "smaller|tinier"
_START = re.compile(
    r"^(?:please |now |the same, |the same scene, |like this, |the same but |like this but )?(.*)$"
)
_KEEP = re.compile(
    rf"^(?:keep only|keep|just|another picture of) (the {_NOUN}(?:(?:,| and) the {_NOUN})*)(.*)$"
)


@dataclass
class _Wanted:
    """What a scene must be: things by kind and colour, the setting, things with their size, and what is gone."""

    counts: Counter[tuple[str, str]]
    setting: str
    shown: list[Pattern] = field(default_factory=list)
    gone: list[Pattern] = field(default_factory=list)
    exact: set[tuple[str, str]] = field(default_factory=set)


class UnreadText(ValueError):
    """The text is not worded as the drawn world words edits, or speaks of what the reference does not show."""


def leads_to(reference: Scene, text: str, target: Scene) -> bool:
    """Whether the text truly leads from the reference to the target.

    Raises:
        UnreadText: it says nothing that can be read.
    """
    if kept := _KEEP.match(text):
        return _keeps(reference, kept[1], kept[2], target)
    wanted = _Wanted(_counts(reference.things), reference.setting)
    start = _START.match(text)
    assert start is not None
    for clause in start[1].split(" and "):
        _apply(clause, reference, wanted)
    there = _counts(target.things)
    return _fits(wanted, target) and all(
        there[key] == number if number != 1 or key in wanted.exact else there[key] >= 1
        for key, number in wanted.counts.items()
    )


def _keeps(reference: Scene, named: str, rest: str, target: Scene) -> bool:
    """A text that says what stays: those things and the edit must be there, everything else is free."""
    kept = [_pattern(noun) for noun in re.findall(_THE, named)]
    things = [thing for pattern in kept for thing in reference.things if pattern.matches(thing)]
    if len(things) != len(kept):
        raise UnreadText(f"{named!r} does not name one thing each")
    wanted = _Wanted(Counter(), target.setting, [Pattern(t.kind, t.colour) for t in things])
    edit = re.sub(r"^(?:, | and | again | )|, the rest may change$", "", rest)
    _apply(re.sub(r"^and ", "", edit), reference, wanted)
    return _fits(wanted, target)


def _fits(wanted: _Wanted, target: Scene) -> bool:
    return (
        target.setting == wanted.setting
        and all(pattern.among(target) for pattern in wanted.shown)
        and not any(pattern.among(target) for pattern in wanted.gone)
    )


def _apply(clause: str, reference: Scene, wanted: _Wanted) -> None:
    for form, change in _CLAUSES:
        if found := re.fullmatch(form, clause):
            change(wanted, reference, [each for each in found.groups() if each is not None])
            return
    raise UnreadText(f"{clause!r} is no known wording")


def _add(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
    pattern = _pattern(words[0])
    wanted.counts[_key(pattern)] += 1
    wanted.shown.append(pattern)


def _remove(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
    thing, pattern = _one(reference, words[0]), _pattern(words[0])
    wanted.counts[(thing.kind, thing.colour)] -= 1
    wanted.gone.append(pattern)


def _recolour(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
    thing = _one(reference, words[0])
    if thing.colour == words[1]:
        raise UnreadText(f"the {words[0]} has that colour")
    wanted.counts[(thing.kind, thing.colour)] -= 1
    wanted.counts[(thing.kind, words[1])] += 1


def _swap(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
    _remove(wanted, reference, words[:1])
    _add(wanted, reference, words[1:])


def _move(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
    wanted.setting = _PLACES[words[0]]
    if wanted.setting == reference.setting and wanted.counts:
        raise UnreadText("the reference has that setting")


def _resize(size: str) -> Callable[[_Wanted, Scene, list[str]], None]:
    def change(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
        thing = _one(reference, words[0])
        if thing.size == size:
            raise UnreadText(f"the {words[0]} is {size}")
        wanted.shown.append(Pattern(thing.kind, thing.colour, size))

    return change


def _count(step: int) -> Callable[[_Wanted, Scene, list[str]], None]:
    def change(wanted: _Wanted, reference: Scene, words: list[str]) -> None:
        key = _key(_pattern(words[0]))
        if not wanted.counts[key]:
            raise UnreadText(f"there is no {words[0]}")
        wanted.counts[key] += step
        wanted.exact.add(key)

    return change


_CLAUSES: tuple[tuple[str, Callable[[_Wanted, Scene, list[str]], None]], ...] = (
    (rf"replace {_THE} with {_A}|swap {_THE} for {_A}", _swap),
    (rf"with {_A} instead of {_THE}|{_A} in place of {_THE}", lambda w, r, x: _swap(w, r, x[::-1])),
    (rf"(?:take away|with) one ({_NOUN})(?: (?:less|fewer))?", _count(-1)),
    (rf"(?:add|with) one more ({_NOUN})", _count(1)),
    (rf"add {_A}|put {_A} in|include {_A}|with {_A}(?: too)?|plus {_A}", _add),
    (
        rf"remove {_THE}|take away {_THE}|take {_THE} out|without {_THE}|with no ({_NOUN})|minus {_THE}",
        _remove,
    ),
    (rf"(?:make|paint) {_THE} {_COLOUR}|{_THE} (?:is|should be) {_COLOUR}", _recolour),
    (
        rf"(?:make {_THE} (?:{_LARGER})|{_THE} is (?:{_LARGER})|with a (?:{_LARGER}) ({_NOUN}))",
        _resize("large"),
    ),
    (
        rf"(?:make {_THE} (?:{_SMALLER})|{_THE} is (?:{_SMALLER})|with a (?:{_SMALLER}) ({_NOUN}))",
        _resize("small"),
    ),
    (rf"(?:(?:show|put|make) it )?{_PLACE}", _move),
)


def _pattern(noun: str) -> Pattern:
    words = noun.split()
    return Pattern(
        _KINDS[words[-1]],
        next((word for word in words if word in COLOURS), None),
        next((_SIZES[word] for word in words if word in _SIZES), None),
    )


def _one(scene: Scene, noun: str) -> Thing:
    found = _pattern(noun).among(scene)
    if len(found) != 1:
        raise UnreadText(f"the reference shows {len(found)} of {noun!r}")
    return found[0]


def _key(pattern: Pattern) -> tuple[str, str]:
    if pattern.colour is None:
        raise UnreadText("a new thing has no colour")
    return str(pattern.kind), pattern.colour


def _counts(things: tuple[Thing, ...]) -> Counter[tuple[str, str]]:
    return Counter((thing.kind, thing.colour) for thing in things)

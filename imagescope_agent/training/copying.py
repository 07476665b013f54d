"""Which words of a request an answer repeats: where a reader of both would put a finger while writing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_AHEAD = 6  # how many tokens before a repeated word the finger already rests there

Places = list[tuple[int, ...]]


def sources(prompt: Sequence[int], answer: Sequence[int]) -> Places:
    """For each token of the answer, the places in the prompt it may have been copied from.

    A place counts when the stretch of equal tokens around it is the longest that this token of the answer has, and at
    least two tokens long unless the token occurs only once; what has no such place gets an empty tuple.
    """
    equal = np.asarray(answer)[:, None] == np.asarray(prompt)[None, :]
    before, after = np.zeros_like(equal, dtype=np.int64), np.zeros_like(equal, dtype=np.int64)
    for i in range(len(answer)):
        before[i] = equal[i]
        if i:
            before[i, 1:] += equal[i, 1:] * before[i - 1, :-1]
    for i in reversed(range(len(answer))):
        after[i] = equal[i]
        if i + 1 < len(answer):
            after[i, :-1] += equal[i, :-1] * after[i + 1, 1:]
    stretch = np.where(equal, before + after - 1, 0)
    longest, once = stretch.max(axis=1, initial=0), equal.sum(axis=1) == 1
    return [
        tuple(np.flatnonzero(row == most).tolist()) if most > 1 or alone else ()
        for row, most, alone in zip(stretch, longest, once, strict=True)
    ]


def destinations(places: Places) -> Places:
    """The places, with the next word's also for the few tokens before it: an article must know its noun."""
    ahead: Places = []
    last: tuple[int, ...] = ()
    distance = _AHEAD
    for place in reversed(places):
        last, distance = (place, 0) if place else (last, distance + 1)
        ahead.append(last if distance < _AHEAD else ())
    return ahead[::-1]


def latest(tokens: Sequence[int], nouns: frozenset[int]) -> list[int | None]:
    """For each token the place of the last noun before it."""
    found, last = list[int | None](), None
    for place, token in enumerate(tokens):
        found.append(last)
        if token in nouns:
            last = place
    return found

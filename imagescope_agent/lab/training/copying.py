"""Which words of a request an answer repeats: where a reader of both would put a finger while writing."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import takewhile

import numpy as np

_AHEAD = 6  # how many tokens before a copied stretch the finger already rests there

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


def destinations(places: Places, heads: Set[int]) -> Places:
    """Where each token of the answer is copied from; the few tokens before a copied stretch point at its head.

    Whether a thing is kept, changed or gone, and its article, is decided before it is named, and what decides is known
    at its noun. A stretch without one of the `heads` (places of nouns) is pointed at where it begins.
    """
    ahead: Places = []
    for start, place in enumerate(places):
        near = range(start, min(start + _AHEAD, len(places)))
        first = next((i for i in near if places[i]), None)
        if place or first is None:
            ahead.append(place)
            continue
        stretch = takewhile(bool, places[first:])
        ahead.append(next((copied for copied in stretch if heads >= set(copied)), places[first]))
    return ahead


def latest(tokens: Sequence[int], nouns: frozenset[int]) -> list[int | None]:
    """For each token the place of the last noun before it."""
    found, last = list[int | None](), None
    for place, token in enumerate(tokens):
        found.append(last)
        if token in nouns:
            last = place
    return found

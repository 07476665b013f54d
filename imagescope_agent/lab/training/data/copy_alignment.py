"""Aligns an answer with the prompt it copies from: the targets of copy attention."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import takewhile

import numpy as np

_LOOKAHEAD = 6  # tokens before a copied span that already attend to it

Places = list[tuple[int, ...]]


def copy_sources(prompt: Sequence[int], answer: Sequence[int]) -> Places:
    """For each token of the answer, the places in the prompt it may have been copied from.

    A place counts if the span of equal tokens around it is the longest one for this token of the answer, and at least
    two tokens long unless the token occurs only once in the prompt. A token without such a place has an empty tuple.
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
    length = np.where(equal, before + after - 1, 0)
    longest, unique = length.max(axis=1, initial=0), equal.sum(axis=1) == 1
    return [
        tuple(np.flatnonzero(row == most).tolist()) if most > 1 or alone else ()
        for row, most, alone in zip(length, longest, unique, strict=True)
    ]


def next_sources(sources: Places, nouns: Set[int]) -> Places:
    """As `copy_sources`, with the source of the next copied span's noun for the few tokens before the span.

    Whether a thing is kept, changed or removed, and its article, is written before its name, but only its noun tells
    which. For a span without any of `nouns` (places in the prompt) it is the source of its first token.
    """
    extended: Places = []
    for start, places in enumerate(sources):
        near = range(start, min(start + _LOOKAHEAD, len(sources)))
        first = next((i for i in near if sources[i]), None)
        if places or first is None:
            extended.append(places)
            continue
        span = takewhile(bool, sources[first:])
        extended.append(next((copied for copied in span if nouns >= set(copied)), sources[first]))
    return extended


def previous_nouns(tokens: Sequence[int], nouns: frozenset[int]) -> list[int | None]:
    """For each token the place of the last noun before it."""
    places, last = list[int | None](), None
    for place, token in enumerate(tokens):
        places.append(last)
        if token in nouns:
            last = place
    return places

"""Which words of a request an answer repeats: where a reader of both would put a finger while writing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SHORTEST = 2  # a single token in common is mostly chance ("a", a comma)


def sources(prompt: Sequence[int], answer: Sequence[int]) -> list[tuple[int, ...]]:
    """For each token of the answer, the places in the prompt it may have been copied from.

    A place counts when the stretch of equal tokens around it is the longest that this token of the answer has, and at
    least two tokens long; what has no such place gets an empty tuple.
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
    longest = stretch.max(axis=1, initial=0)
    return [
        tuple(np.flatnonzero(row == most).tolist()) if most >= _SHORTEST else ()
        for row, most in zip(stretch, longest, strict=True)
    ]

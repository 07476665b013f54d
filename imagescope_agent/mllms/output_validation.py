"""What models give beside text, checked: probabilities, attention, vectors, usage, notes; nothing odd gets further.

Any package may implement the protocols. What it gives is plain finite numbers of the right shape, or it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.mllms.protocols import MIN_CHOICE_MASS, Attention, Choice, Embedding
from imagescope_agent.records import Note, note
from imagescope_agent.replies.reader import clean, count
from imagescope_agent.usage import total_usage

_SLACK = 1e-3  # by which a row of probabilities may miss 1: they may be of half precision
_LARGEST = 3e38  # beyond it a number of a model has no place in single precision, and its square none at all


def sound_choice(given: object, requests: int, choices: int) -> Choice:
    """A scorer's answer with one sound row a request: even, with a note, where its own says nothing.

    Args:
        given: what `ChoiceScorer.ascore` returned.
        requests: how many it was asked.
        choices: how many answers were offered.
    """
    refused = _refused(getattr(given, "refused", None), requests)
    found = _items(getattr(given, "probabilities", None))
    aligned = found is not None and len(found) == requests
    rows = [_row(row, choices) for row in found] if found is not None and aligned else [None] * requests
    bad = sum(row is None for place, row in enumerate(rows) if place not in refused)
    notes = sound_notes(getattr(given, "notes", None))
    if bad and not aligned:
        notes.append(_note(f"the model gave no row of probabilities for each of {requests} questions"))
    elif bad:
        notes.append(
            _note(f"{bad} of {requests} rows of probabilities say nothing: not {choices} shares of one whole")
        )
    return Choice(
        probabilities=[
            [1 / choices] * choices if row is None or place in refused else row
            for place, row in enumerate(rows)
        ],
        usage=sound_usage(getattr(given, "usage", None), requests - len(refused)),
        notes=notes,
        refused=refused,
        failed=frozenset(_items(getattr(given, "failed", None)) or ()) & frozenset(refused),
    )


def sound_attention(given: object, pictures: int) -> Attention:
    """A reader's answer about a conversation of so many pictures.

    Raises:
        UnreadableReply: not one list of finite numbers a picture.
    """
    rows = _table(getattr(given, "pictures", None))
    if rows is None or len(rows) != pictures:
        raise UnreadableReply(f"the model's attention is no list of numbers for each of {pictures} pictures")
    chosen = getattr(given, "chosen", None)
    found = None if chosen is None else _table(chosen)
    if chosen is not None and (found is None or [*map(len, found)] != [*map(len, rows)]):
        raise UnreadableReply("the attention of the model's chosen heads is not of the same pictures' tokens")
    told = getattr(given, "after", None)
    after = None if told is None else _table([told])
    if told is not None and (after is None or len(after[0]) != pictures):
        raise UnreadableReply(
            f"the attention to what follows pictures is no number for each of {pictures} pictures"
        )
    return Attention(
        pictures=rows,
        chosen=found,
        after=None if after is None else after[0],
        log_odds=getattr(given, "log_odds", False) is True,
        usage=sound_usage(getattr(given, "usage", None), 1),
    )


def sound_embedding(given: object, requests: int) -> Embedding:
    """An embedder's answer to so many conversations.

    Raises:
        UnreadableReply: not one vector each, all of one length, finite and not zero.
    """
    rows = _table(getattr(given, "vectors", None))
    if (
        rows is None
        or len(rows) != requests
        or len({len(row) for row in rows}) != 1
        or not all(map(any, rows))
    ):
        raise UnreadableReply(f"the model gave no finite vector for each of {requests} questions")
    trained = getattr(given, "trained", True) is not False
    return Embedding(
        vectors=rows, usage=sound_usage(getattr(given, "usage", None), requests), trained=trained
    )


def sound_usage(given: object, calls: int) -> dict[str, Any]:
    """The cost of so many answers; 0 for what is not told in numbers."""
    told: Mapping[Any, Any] = given if isinstance(given, Mapping) else {}
    seconds = told.get("seconds")
    usual = isinstance(seconds, int | float) and 0 <= seconds < math.inf
    return {
        "calls": calls,
        **{name: count(told.get(name)) for name in ("prompt_tokens", "completion_tokens", "image_prefills")},
        "seconds": float(seconds) if usual and seconds else 0.0,
    }


def sound_notes(given: object) -> list[dict[str, str]]:
    """The notes among what a model calls its notes; an unknown kind becomes "other"."""
    notes = given if isinstance(given, list | tuple) else ()
    return [
        Note.from_dict({name: clean(each[name]) for name in ("step", "kind", "detail")}).to_dict()
        for each in notes
        if isinstance(each, Mapping)
        and all(isinstance(each.get(name), str) for name in ("step", "kind", "detail"))
    ]


def joined(parts: Sequence[Choice]) -> Choice:
    """Consecutive choices as one; notes that say the same are said once."""
    starts = list(accumulate((len(part.probabilities) for part in parts), initial=0))
    numbered = list(zip(starts, parts, strict=False))
    return Choice(
        probabilities=[row for part in parts for row in part.probabilities],
        usage=total_usage([part.usage for part in parts]),
        notes=list({tuple(note.items()): note for part in parts for note in part.notes}.values()),
        refused={start + row: why for start, part in numbered for row, why in part.refused.items()},
        failed=frozenset(start + row for start, part in numbered for row in part.failed),
    )


def _row(row: object, choices: int) -> list[float] | None:
    """A row of probabilities as plain numbers; None when it is none."""
    values = _numbers(row)
    if values is None or len(values) != choices or min(values) < 0:
        return None
    whole = sum(values)
    if abs(whole - 1) <= _SLACK:
        return values
    return [value / whole for value in values] if MIN_CHOICE_MASS <= whole < 1 else None


def _refused(given: object, requests: int) -> dict[int, str]:
    told = given if isinstance(given, Mapping) else {}
    return {row: clean(str(why)) for row, why in told.items() if type(row) is int and 0 <= row < requests}


def _table(given: object) -> list[list[float]] | None:
    rows = _items(given)
    found = [] if rows is None else [_numbers(row) for row in rows]
    sound = [row for row in found if row]
    return sound if rows is not None and len(sound) == len(found) else None


def _numbers(given: object) -> list[float] | None:
    """Finite numbers as plain ones; None when one of them is none."""
    items = _items(given)
    if items is None or any(isinstance(each, str | bytes | bool) for each in items):
        return None
    try:
        values = [float(each) for each in items]
    except (TypeError, ValueError, OverflowError):
        return None
    return values if all(abs(value) <= _LARGEST for value in values) else None


def _items(given: object) -> list[Any] | None:
    """The items of a list or of an array; None for what is neither."""
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        return None
    return list(given)


def _note(detail: str) -> dict[str, str]:
    return note("model", "unreadable", detail)

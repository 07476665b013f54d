"""Messages that limit a search by fields of images, with the filter that each of them means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.dialog import filter_phrases as said
from imagescope_agent.lab.scenes.dialog.filter_values import DrawnField, drawn_fields, drawn_time

Condition = tuple[str, str, str | None]
_TIMES = (
    (said.IN_TIME, "=", 6), (said.SINCE, ">=", 4), (said.AFTER, ">", 3), (said.BEFORE, "<", 4), (said.UNTIL, "<=", 3),
    (said.NOT_IN_TIME, "!=", 2),
)  # fmt: skip
_NUMBERS = (
    (said.OWN[:24], "=", 2),
    (said.AT_LEAST, ">=", 2),
    (said.MORE_THAN, ">", 1),
    (said.LESS_THAN, "<", 1),
)


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A limit as it is said.

    Attributes:
        words: that say it.
        conditions: (field, one of = != < <= > >=, value as it is said) of each; a value of None lifts what was
            said of a field, and a field of "any" of all.
    """

    words: str
    conditions: tuple[Condition, ...]


def limit(rng: Random, *, plain: bool = False) -> Limit:
    """A limit by a field of a made-up collection, `plain` as it stands behind a wish: "a boat from last summer"."""
    fields = drawn_fields(rng)
    if not plain and rng.random() < 0.15:
        field = rng.choice(fields)
        if rng.random() < 0.5:
            return Limit(words=rng.choice(said.LIFTED), conditions=(("any", "=", None),))
        words = rng.choice(said.LIFTED_FIELD).format(f=field.name)
        return Limit(words=words, conditions=((field.name, "=", None),))
    words, meant = _limited(rng.choice(fields), rng, plain)
    if rng.random() < 0.1 and len(fields) > 1:
        other, more = _limited(rng.choice(fields), rng, plain=True)
        words, meant = f"{words}{rng.choice((' and ', ', ', ', '))}{other}", (*meant, *more)
    return Limit(words=words, conditions=meant)


def limited_wish(wish: str, rng: Random) -> tuple[str, Limit]:
    """A wish and a limit in one message."""
    plain = rng.random() < 0.5
    found = limit(rng, plain=plain)
    form = "{wish} {limit}" if plain else rng.choice(said.BESIDE)
    return form.format(wish=wish.rstrip(".!?"), limit=found.words), found


def _limited(field: DrawnField, rng: Random, plain: bool) -> tuple[str, tuple[Condition, ...]]:
    """The words of a limit by a field, and what they mean."""
    if field.kind == "date":
        return _in_time(field.name, rng, plain)
    if field.kind == "number":
        forms, operator = _weighted(_NUMBERS, rng)
        value = str(rng.randint(0, 9)) if field.name != "year" else str(rng.randint(1990, 2026))
        return rng.choice(forms).format(f=field.name, v=value), ((field.name, operator, value),)
    if field.kind == "boolean":
        true = rng.random() < 0.7
        words = rng.choice(said.TRUE if true else said.FALSE).format(f=field.name)
        return words, ((field.name, "=" if true else "!=", "true"),)
    return _of_text(field, rng, plain)


def _in_time(name: str, rng: Random, plain: bool) -> tuple[str, tuple[Condition, ...]]:
    time = drawn_time(rng)
    if plain:
        return rng.choice(said.PLAIN_TIME).format(t=time), ((name, "=", time),)
    if rng.random() < 0.12:
        until = drawn_time(rng)
        words = rng.choice(said.BETWEEN).format(t=time, u=until)
        return words, ((name, ">=", time), (name, "<=", until))
    forms, operator = _weighted(_TIMES, rng)
    return rng.choice(forms).format(t=time), ((name, operator, time),)


def _of_text(field: DrawnField, rng: Random, plain: bool) -> tuple[str, tuple[Condition, ...]]:
    wanted, not_wanted, beside = {
        "folder": (said.FOLDERS, said.NOT_FOLDERS, said.PLAIN_FOLDER),
        "camera": (said.CAMERAS, said.NOT_CAMERAS, said.PLAIN_CAMERA),
    }.get(field.name, (said.OWN, said.NOT_OWN, said.PLAIN_OWN))
    value = _spoken(rng.choice(field.values), rng)
    if plain:
        return rng.choice(beside).format(v=value, f=field.name), ((field.name, "=", value),)
    if len(field.values) > 1 and rng.random() < 0.06:
        one, other = rng.sample(field.values, 2)
        words = rng.choice(said.EITHER).format(v=one, w=other, f=field.name)
        return words, ((field.name, "=", one), (field.name, "=", other))
    if rng.random() < 0.35:
        return rng.choice(not_wanted).format(v=value, f=field.name), ((field.name, "!=", value),)
    return rng.choice(wanted).format(v=value, f=field.name), ((field.name, "=", value),)


def _spoken(value: str, rng: Random) -> str:
    """A value as people say it: the last part of a path, a camera without its number."""
    if "/" in value and rng.random() < 0.7:
        return value.rpartition("/")[2]
    words = value.split()
    return words[0] if len(words) > 1 and rng.random() < 0.3 else value


def _weighted(
    choices: Sequence[tuple[tuple[str, ...], str, int]], rng: Random
) -> tuple[tuple[str, ...], str]:
    forms, operator, _ = rng.choices(choices, [weight for *_, weight in choices])[0]
    return forms, operator

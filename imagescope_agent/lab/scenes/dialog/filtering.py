"""Messages that limit a search by fields of images, with the filter that each of them means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from imagescope_agent.lab.scenes.dialog import filter_phrases as said
from imagescope_agent.lab.scenes.dialog.filter_values import DrawnField, drawn_fields, drawn_time

_TIMES = (
    (said.IN_TIME, "=", 10), (said.SINCE, ">=", 3), (said.AFTER, ">", 2), (said.BEFORE, "<", 3), (said.UNTIL, "<=", 2),
    (said.NOT_IN_TIME, "!=", 1),
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
        change: "add" or "remove".
        filter: what it adds, or the field of which a limit goes, "" for all.
        fields: of the collection, a line each.
    """

    words: str
    change: str
    filter: str
    fields: tuple[str, ...]


def limit(rng: Random, *, plain: bool = False) -> Limit:
    """A limit by a field of a made-up collection, `plain` as it stands behind a wish: "a boat from last summer"."""
    fields = drawn_fields(rng)
    told = tuple(field.told for field in fields)
    if not plain and rng.random() < 0.12:
        field = rng.choice(fields)
        if rng.random() < 0.5:
            return Limit(words=rng.choice(said.LIFTED), change="remove", filter="", fields=told)
        words = rng.choice(said.LIFTED_FIELD).format(f=field.name)
        return Limit(words=words, change="remove", filter=field.name, fields=told)
    words, meant = _limited(rng.choice(fields), rng, plain)
    if rng.random() < 0.08 and len(fields) > 1:
        other, more = _limited(rng.choice(fields), rng, plain=True)
        words, meant = f"{words}{rng.choice((' and ', ', ', ', '))}{other}", f"{meant} and {more}"
    if rng.random() < 0.15:
        words = words.lower()
    return Limit(words=words, change="add", filter=_as_said(meant, words), fields=told)


def limited_wish(wish: str, rng: Random) -> tuple[str, Limit]:
    """A wish and a limit in one message."""
    plain = rng.random() < 0.5
    found = limit(rng, plain=plain)
    form = "{wish} {limit}" if plain else rng.choice(said.BESIDE)
    return form.format(wish=wish.rstrip(".!?"), limit=found.words), found


def _limited(field: DrawnField, rng: Random, plain: bool) -> tuple[str, str]:
    """The words of a limit by a field, and the filter that they mean."""
    if field.kind == "date":
        return _in_time(field.name, rng, plain)
    if field.kind == "number":
        forms, operator = _weighted(_NUMBERS, rng)
        value = str(rng.randint(0, 9)) if field.name != "year" else str(rng.randint(1990, 2026))
        return rng.choice(forms).format(f=field.name, v=value), f"{field.name} {operator} {value}"
    if field.kind == "boolean":
        true = rng.random() < 0.7
        words = rng.choice(said.TRUE if true else said.FALSE).format(f=field.name)
        return words, f"{field.name} = {str(true).lower()}"
    return _of_text(field, rng, plain)


def _in_time(name: str, rng: Random, plain: bool) -> tuple[str, str]:
    time = drawn_time(rng)
    if plain:
        return rng.choice(said.PLAIN_TIME).format(t=time), f"{name} = {quoted(time)}"
    if rng.random() < 0.12:
        until = drawn_time(rng)
        words = rng.choice(said.BETWEEN).format(t=time, u=until)
        return words, f"{name} >= {quoted(time)} and {name} <= {quoted(until)}"
    forms, operator = _weighted(_TIMES, rng)
    return rng.choice(forms).format(t=time), f"{name} {operator} {quoted(time)}"


def _of_text(field: DrawnField, rng: Random, plain: bool) -> tuple[str, str]:
    wanted, not_wanted, beside = {
        "folder": (said.FOLDERS, said.NOT_FOLDERS, said.PLAIN_FOLDER),
        "camera": (said.CAMERAS, said.NOT_CAMERAS, said.PLAIN_CAMERA),
    }.get(field.name, (said.OWN, said.NOT_OWN, said.PLAIN_OWN))
    value = _spoken(rng.choice(field.values), rng)
    equal, unequal = ("contains", "not contains") if field.kind == "list" else ("=", "!=")
    if plain:
        return rng.choice(beside).format(v=value, f=field.name), f"{field.name} {equal} {quoted(value)}"
    if len(field.values) > 1 and rng.random() < 0.06 and equal == "=":
        one, other = rng.sample(field.values, 2)
        words = rng.choice(said.EITHER).format(v=one, w=other, f=field.name)
        return words, f"{field.name} in ({quoted(one)}, {quoted(other)})"
    if rng.random() < 0.12:
        return rng.choice(not_wanted).format(v=value, f=field.name), f"{field.name} {unequal} {quoted(value)}"
    return rng.choice(wanted).format(v=value, f=field.name), f"{field.name} {equal} {quoted(value)}"


def _spoken(value: str, rng: Random) -> str:
    """A value as people say it: the last part of a path, a camera without its number."""
    if "/" in value and rng.random() < 0.7:
        return value.rpartition("/")[2]
    words = value.split()
    return words[0] if len(words) > 1 and rng.random() < 0.3 else value


def _as_said(meant: str, words: str) -> str:
    """The filter with its values in the letters of the message, as a model copies them."""
    return meant.lower() if words == words.lower() else meant


def quoted(text: str) -> str:
    """A text as a filter writes it."""
    return "'" + text.replace("'", "''") + "'"


def _weighted(
    choices: Sequence[tuple[tuple[str, ...], str, int]], rng: Random
) -> tuple[tuple[str, ...], str]:
    forms, operator, _ = rng.choices(choices, [weight for *_, weight in choices])[0]
    return forms, operator

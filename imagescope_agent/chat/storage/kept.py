"""What is kept of a turn: its record, what the next turn needs of the state after it, and the verdicts it found."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from imagescope_agent.common.untrusted import inflate
from imagescope_agent.state import Turn, Verdicts, new_conversation

FEW_VERDICTS, MOST_VERDICTS = 500, 2000
LARGEST = 16 * 2**20  # bytes of JSON of one value
#: Keys of a conversation that the last turn gives.
OF_TURN = ("results", "turns", "turn")


def found_verdicts(before: Verdicts, after: Verdicts) -> Verdicts:
    """The verdicts that a turn added or changed."""
    return {
        name: changed
        for name, answers in after.items()
        if (known := before.get(name)) is None
        or any(known.get(question) != value for question, value in answers.items())
        for changed in [{q: value for q, value in answers.items() if (known or {}).get(q) != value}]
    }


def bounded_verdicts(verdicts: Verdicts, kept: Mapping[str, Any]) -> Verdicts:
    """The verdicts that a turn begins with: all when they are few, else those about what is wanted or may be asked.

    Every checkpoint of the turn holds them. One that is left out is asked again should it matter once more.
    """
    if sum(map(len, verdicts.values())) <= FEW_VERDICTS:
        return verdicts
    standing = {predicate["question"] for fact in kept["facts"] for predicate in fact["predicates"]}
    matter = standing.union(kept["pool"])
    bounded: Verdicts = {}
    count = 0
    for name in reversed(verdicts):  # images that were looked at last
        answers = {question: value for question, value in verdicts[name].items() if question in matter}
        count += len(answers)
        if answers and count <= MOST_VERDICTS:
            bounded[name] = answers
    return {name: bounded[name] for name in reversed(bounded)}


def kept_state(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the next turn needs of the state after a turn, beside the turn itself and the verdicts."""
    return without_turn({name: values[name] for name in new_conversation() if name in values})


def check_turn(turn: Any) -> Turn:
    """A turn as it was stored.

    Raises:
        TypeError, LookupError, ValueError: a value is missing or not of its type; the store is untrusted.
    """
    words, numbers = [turn["message"], turn.get("where", "")], list[Any]()
    for hit in turn["results"]:  # as `Result.from_dict`, without the objects: there may be thousands
        words.append(hit["id"])
        numbers.append(hit["rank"])
        numbers += hit["scores"].values()
        words += hit["reasons"]
        for reason in hit.get("evidence", ()):
            words += (reason["kind"], reason["question"], reason["expected"], reason["text"])
            numbers.append(reason["probability"])
    if not set(map(type, words)) <= {str} or not set(map(type, numbers)) <= {int, float, type(None)}:
        raise TypeError("a turn is malformed")
    checked: Turn = turn
    return checked


def check_state(values: dict[str, Any]) -> dict[str, Any]:
    """The state of a conversation, where every key holds a value of the right type.

    Raises:
        TypeError: one does not; the store is untrusted.
    """
    for name, empty in new_conversation().items():
        value = values.get(name, empty)
        if not isinstance(value, type(empty)) and not (empty is None and isinstance(value, str | dict)):
            raise TypeError(f"{name} is {type(value).__name__}")
    return values


def without_turn(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The state without what the table of turns gives."""
    return {name: value for name, value in kept.items() if name not in (*OF_TURN, "verdicts")}


def to_text(value: Any) -> str:
    """JSON in ASCII: a database's text takes neither zero bytes nor lone surrogates, which names of files may have."""
    return json.dumps(value, separators=(",", ":"))


def pack(value: Any) -> bytes:
    """JSON, compressed."""
    return zlib.compress(to_text(value).encode("ascii"))


def unpack(data: Any) -> Any:
    """What `pack` was given.

    Raises:
        ValueError: it is damaged, or too large.
    """
    return json.loads(inflate(bytes(data), LARGEST))

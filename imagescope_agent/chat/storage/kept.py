"""What is kept of a turn: its record, what the next turn needs of the state after it, and the verdicts it found."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

from imagescope_agent.common.untrusted import inflate
from imagescope_agent.state import Turn, Verdicts, new_conversation, new_turn

FEW_VERDICTS, MOST_VERDICTS = 500, 2000
SHOWABLE = 200  # images of a ranking that are kept, for turns that go on showing it
LARGEST = 16 * 2**20  # bytes of JSON of one value
#: Keys of a conversation that the last turn gives.
OF_TURN = ("results", "turns", "turn")
#: Keys of a turn that go on where the next one changes nothing; a part of `parse_message.FOUND`.
OF_RANKING = ("candidates", "predicates", "matches", "unverified", "judgement", "ranking", "chain")


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
    kept = {name: values[name] for name in new_conversation() if name in values}
    return without_turn({**kept, **found_ranking(values)})


def found_ranking(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a turn found, for a next one that changes nothing of it: of the first `SHOWABLE` images of its ranking.

    The rankings of the stages before are not kept; only the final one is shown.
    """
    found = {**_nothing_found(), **{name: values[name] for name in OF_RANKING if name in values}}
    ranking, judged = found["ranking"][:SHOWABLE], found["judgement"]
    names = set(ranking)
    return {
        "predicates": found["predicates"],
        "ranking": ranking,
        "chain": found["chain"],
        "candidates": [each for each in found["candidates"] if each["id"] in names],
        **{kind: _of(names, found[kind]) for kind in ("matches", "unverified")},
        "judgement": {
            "order": [name for name in judged["order"] if name in names],
            **{kind: _of(names, judged[kind]) for kind in ("scores", "reasons")},
        },
    }


def _nothing_found() -> dict[str, Any]:
    return {name: empty for name, empty in new_turn().items() if name in OF_RANKING}


def _of(names: set[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def known_state(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was kept, the keys that the state has; what an older version did not keep is empty."""
    empty = {**new_conversation(), **_nothing_found()}
    return {name: kept.get(name, value) for name, value in empty.items()}


def check_turn(turn: Any) -> Turn:
    """A turn as it was stored.

    Raises:
        TypeError, LookupError, ValueError: a value is missing or not of its type; the store is untrusted.
    """
    chain = turn.get("chain", {})
    if not isinstance(chain, dict):
        raise TypeError("a turn's chain is malformed")
    words, numbers = (
        [
            turn["message"],
            turn.get("where", ""),
            *turn.get("references", []),
            *chain.values(),
        ],
        [turn.get("fulfilment")],
    )
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
    for name, empty in {**new_conversation(), **_nothing_found()}.items():
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

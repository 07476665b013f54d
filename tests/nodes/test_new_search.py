"""A message that begins a new search: what stood is gone, and what it says beside that is a first message."""

from __future__ import annotations

from typing import Any

import pytest

from imagescope_agent.dialogue_acts import ACTS, split_message
from imagescope_agent.nodes.chat.new_search import NEW_SEARCH, WHAT_NEXT
from imagescope_agent.nodes.chat.read_message import act_of, is_idle, understood
from imagescope_agent.state import MessagePart

STATE: Any = {
    "intent": {"full": "a wagon"},
    "question": {"text": "Is it grey?", "asks": "Is it grey?"},
    "query": "the message",
    "request": "a wagon",
}


def row(**likely: float) -> list[float]:
    return [likely.get(act, 0.0) for act in ACTS]


def parts(*acts: tuple[str, str]) -> list[MessagePart]:
    return [{"act": act, "text": text} for act, text in acts]


def test_what_is_said_beside_a_new_start_is_a_first_message() -> None:
    acts = parts(("restart", "wipe the board"), ("correction", "a kettle"), ("answer", "at midnight"))
    update = understood(STATE, acts)
    assert update["query"] == update["request"] == "a kettle, at midnight"
    assert [part["act"] for part in update["acts"]] == ["restart", "wish", "wish"]
    assert update["facts"] == [] and update["question"] is None and update["intent"]["full"] == ""
    assert update["reference"] is None and update["reference_caption"] == "" and update["liked"] == []
    assert update["remarks"] == [NEW_SEARCH]


def test_a_new_start_alone_leaves_nothing_and_asks_what_is_next() -> None:
    update = understood(STATE, parts(("restart", "wipe the board"), ("withdrawal", "forget the wagon")))
    assert update["remarks"] == [NEW_SEARCH, WHAT_NEXT] and update["request"] == update["query"] == ""
    after: Any = {**STATE, **update}
    assert is_idle(after, "filter") and update["ranking"] == []


@pytest.mark.parametrize(
    ("likely", "options", "act"),
    [
        (row(restart=0.7, withdrawal=0.3), {}, "restart"),
        (row(restart=0.4, withdrawal=0.35, wish=0.25), {}, "withdrawal"),
        (row(restart=0.7, withdrawal=0.3), {"known": True, "said": "more"}, "withdrawal"),
    ],
)
def test_all_is_given_up_only_where_that_is_likely(
    likely: list[float], options: dict[str, Any], act: str
) -> None:
    assert act_of(likely, STATE, **options) == act


def test_a_first_message_has_nothing_to_give_up() -> None:
    first: Any = {**STATE, "intent": {"full": ""}}
    assert act_of(row(restart=0.95, wish=0.05), first, said="more") == "wish"


def test_a_request_to_search_behind_and_is_a_part_of_its_own() -> None:
    assert split_message("throw that picture away and find a grey kettle") == [
        "throw that picture away", "find a grey kettle"
    ]  # fmt: skip
    assert split_message("a wagon and a kettle") == ["a wagon and a kettle"]
    assert split_message("drop it and find a kettle") == ["drop it and find a kettle"]

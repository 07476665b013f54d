"""What becomes of a message when the talker reads it wrongly, in part, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from imagescope_agent.dialogue_acts import split_message
from imagescope_agent.nodes.chat.act_remarks import NOT_UNDERSTOOD, remarks
from imagescope_agent.nodes.chat.grounded_update import GroundedUpdate, ground
from imagescope_agent.nodes.chat.joined_parts import joined
from imagescope_agent.nodes.chat.language.grounding import Grounding
from imagescope_agent.nodes.chat.language.not_taken_up import not_taken_up
from imagescope_agent.nodes.chat.language.standing_facts import overlap
from imagescope_agent.nodes.chat.language.vocabulary import read_captions
from imagescope_agent.nodes.chat.read_message import act_of, names_wanted, seen_in
from imagescope_agent.replies.parsing import FoldAnswer
from imagescope_agent.state import Fact, MessagePart

WORDS = read_captions(
    (
        "A small yellow lantern and a tall grey wagon, in the harbour.",
        "A tall yellow wagon and a small grey lantern, at midnight.",
        "A small turquoise kettle and a tall yellow kettle, in the harbour.",
        "A grey kettle and a tall turquoise wagon, on the moor.",
    )
)
Steps = list[tuple[str, str]]


def fact(text: str, kind: str = "Addition") -> Fact:
    return {"type": kind, "text": text, "predicates": []}


def grounded(
    message: str,
    facts: list[Fact],
    *acts: tuple[str, str],
    steps: Steps | None = None,
    drop: tuple[int, ...] = (),
    topic: str = "same",
) -> GroundedUpdate:
    state: Any = {
        "facts": facts,
        "acts": [{"text": text, "act": act} for act, text in acts],
        "question": None,
        "intent": {"steps": [], "core": "x", "enhanced": "x", "full": "x"},
        "reference_caption": "none",
        "query": message,
    }
    given = [{"type": kind, "text": text} for kind, text in steps or []]
    reply: Any = {"topic": topic, "answer": "None", "drop": list(drop), "steps": given}
    update = FoldAnswer(**reply, core="x", enhanced="x", full="x")
    return asyncio.run(ground(update, state, message, None, WORDS))


def after(found: GroundedUpdate, facts: list[Fact]) -> Steps:
    """What stands after an update."""
    new = found.update.topic == "new"
    kept = [] if new else [each for n, each in enumerate(facts, 1) if n not in found.update.drop]
    return [
        *((each["type"], each["text"]) for each in kept),
        *((step.type, step.text) for step in found.update.steps),
    ]


@pytest.mark.parametrize(
    ("message", "act", "stand", "steps", "drop", "then"),
    [
        ("the wagon isn't grey but turquoise", "correction", ["a tall grey wagon", "a kettle"], [], [],
         ["a kettle", "a tall turquoise wagon"]),
        ("grey was wrong for the wagon; it's yellow", "correction", ["a grey wagon"], ["a yellow wagon"], [],
         ["a yellow wagon"]),
        ("the wagon is tall", "wish", ["a grey wagon"], ["a wagon"], [1], ["a tall grey wagon"]),
        ("make it tall", "wish", ["a kettle", "a grey wagon"], [], [], ["a kettle", "a tall grey wagon"]),
        ("lantern", "wish", ["a wagon"], [], [], ["a wagon", "a lantern"]),
        ("somewhere a kettle, a turquoise one", "wish", ["a wagon"], ["a kettle"], [],
         ["a wagon", "a turquoise kettle"]),
        ("the kettle stands on the moor", "wish", ["a grey kettle"], [], [1], ["a grey kettle", "on the moor"]),
        ("harbour was wrong, I recall the moor", "correction", ["a kettle", "It is in the harbour."], [], [],
         ["a kettle", "on the moor"]),
        ("I said harbour but I meant on the moor", "correction", ["the scene in the harbour"],
         ["the scene in the harbour", "the scene on the moor"], [1], ["the scene on the moor"]),
        ("a wagon, make it shiny", "correction", ["a grey wagon"], ["a wagon"], [1],
         ["a grey wagon", "a wagon, make it shiny"]),
        ("one turquoise trumpet", "wish", ["a wagon"], [], [], ["a wagon", "a turquoise trumpet"]),
        ("a trumpet, a tall one", "wish", ["a wagon"], [], [], ["a wagon", "a tall trumpet"]),
    ],
)  # fmt: skip
def test_what_a_message_says_of_a_thing_stands_after_it(
    message: str, act: str, stand: list[str], steps: list[str], drop: list[int], then: list[str]
) -> None:
    facts = [fact(text) for text in stand]
    given = [("Addition", text) for text in steps]
    found = grounded(message, facts, (act, message), steps=given, drop=tuple(drop))
    assert found.understood and after(found, facts) == [("Addition", text) for text in then]


@pytest.mark.parametrize(
    "message",
    ["zero wagons", "wagons are out", "wagons mustn't turn up", "what I can't have: wagons", "wagons? heavens no",
     "spare me the wagons"],
)  # fmt: skip
def test_what_a_message_excludes_is_excluded_whatever_the_talker_made_of_it(message: str) -> None:
    for steps in ([], [("Addition", "a wagon")]):
        found = grounded(message, [fact("a kettle")], ("wish", message), steps=steps)
        (step,) = found.update.steps
        assert step.type == "Removal" and "wagon" in step.text


def test_what_a_message_only_names_is_not_excluded() -> None:
    found = grounded("grey, that wagon", [], ("wish", "grey, that wagon"), steps=[("Removal", "a wagon")])
    assert after(found, []) == [("Addition", "a grey wagon")]
    kept = grounded("ditch the wagon", [], ("wish", "ditch the wagon"), steps=[("Removal", "a wagon")])
    assert after(kept, []) == [("Removal", "a wagon")]


def test_a_wish_beside_what_takes_back_nothing_that_stands_begins_anew() -> None:
    facts = [fact("a kettle"), fact("a lantern")]
    acts = (("withdrawal", "blank page please"), ("wish", "a grey wagon"))
    found = grounded("blank page please: a grey wagon", facts, *acts, steps=[("Addition", "a grey wagon")])
    assert after(found, facts) == [("Addition", "a grey wagon")] and "new search" in found.remarks[0]
    acts = (("withdrawal", "no kettle needed"), ("wish", "a grey wagon"))
    found = grounded("no kettle needed, a grey wagon", facts, *acts, steps=[("Addition", "a grey wagon")])
    assert after(found, facts) == [("Addition", "a lantern"), ("Addition", "a grey wagon")]


def test_a_word_that_only_begins_like_a_thing_does_not_name_it() -> None:
    facts = [fact("a star"), fact("a lantern")]
    acts = (("withdrawal", "let me start afresh"), ("wish", "a grey wagon"))
    found = grounded(
        "let me start afresh: a grey wagon", facts, *acts, steps=[("Addition", "a grey wagon")], drop=(1,)
    )
    assert after(found, facts) == [("Addition", "a grey wagon")]
    assert overlap("two stars", Grounding(["drop the star"])) == 1


def test_a_wish_that_was_not_taken_up_is_named() -> None:
    found = grounded(
        "a grey wagon with a trailer",
        [],
        ("wish", "a grey wagon with a trailer"),
        steps=[("Addition", "a grey wagon")],
    )
    assert f'{NOT_UNDERSTOOD} "trailer".' in found.remarks
    parts = [{"text": "a grey wagon", "act": "wish"}, {"text": "the roof is glassy", "act": "wish"}]
    assert not_taken_up(parts, ["a grey wagon"], []) == ["the roof is glassy"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message", ["a grey wagon, what a good idea", "a wagon, a bit grey", "I'd love a grey wagon"]
)
def test_what_was_taken_up_is_not_named(message: str) -> None:
    found = grounded(message, [], ("wish", message), steps=[("Addition", "a grey wagon")])
    assert not found.remarks


def test_senseless_words_are_no_instruction() -> None:
    found = grounded(
        "bleep bloop", [fact("a wagon")], ("wish", "bleep bloop"), steps=[("Addition", "a kettle")]
    )
    assert not found.understood and found.update.steps == []


def test_words_of_another_language_stay_as_they_were_said() -> None:
    said = "und ein blaues Fahrrad"
    found = grounded(said, [fact("a wagon")], ("wish", said), steps=[("Addition", "a kettle")])
    assert [(step.type, step.text) for step in found.update.steps] == [("Addition", said)]
    assert [each["kind"] for each in found.notes] == ["drifted", "fallback"]


@pytest.mark.parametrize("text", ["ein rotes Haus", "quiero una casa verde", "красный дом"])
def test_another_language_that_is_not_understood_is_called_so(text: str) -> None:
    told, *_ = remarks([{"text": text, "act": "unclear"}])
    assert told == f'{NOT_UNDERSTOOD} "{text}"; it seems to be in another language than English.'
    assert "language" not in " ".join(remarks([{"text": "bleep bloop", "act": "unclear"}]))


def test_a_part_has_what_it_says_from_the_one_behind_it() -> None:
    def read(message: str, *acts: str) -> list[tuple[str, str]]:
        parts: list[MessagePart] = [
            {"text": text, "act": act} for text, act in zip(split_message(message), acts, strict=True)
        ]
        return [(part["text"], part["act"]) for part in joined(parts, message, WORDS)]

    assert read("the wagon was a bad idea, forget I said it", "aside", "withdrawal") == [
        ("the wagon was a bad idea", "withdrawal"), ("forget I said it", "withdrawal")
    ]  # fmt: skip
    assert read("what I can't have: wagons", "skip", "wish") == [("what I can't have: wagons", "wish")]
    assert read("start again: a grey wagon", "withdrawal", "wish") == [
        ("start again", "withdrawal"), ("a grey wagon", "wish")
    ]  # fmt: skip
    assert split_message("the wagon: grey. the kettle: forget it") == [
        "the wagon: grey.",
        "the kettle: forget it",
    ]


def test_a_part_that_names_what_can_be_seen_says_something_unless_it_surely_does_not() -> None:
    state: Any = {"intent": {"full": "a wagon"}, "question": None}
    unsure, sure = [0.0, 0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.7], [0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.98, 0.0]
    assert seen_in("kettle!!", WORDS) == "only" and seen_in("my kettle boils over", WORDS) == "more"
    assert seen_in("thanks", WORDS) == "nothing"
    assert act_of(unsure, state, said="more") == "wish" and act_of(unsure, state) == "unclear"
    assert act_of(sure, state, said="more") == "aside" and act_of(sure, state, said="only") == "wish"


def test_more_of_a_thing_turns_the_page_and_is_no_wish_for_it() -> None:
    state: Any = {"intent": {"full": "a wagon"}, "question": None}
    row, doubtful = [0.0, 0.01, 0.0, 0.0, 0.0, 0.99, 0.0, 0.0], [0.0, 0.3, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0]
    assert seen_in("show me more wagons", WORDS) == "only" and act_of(row, state, said="only") == "more"
    assert act_of(doubtful, state, said="only") == "wish"
    assert act_of(doubtful, state, said="only", known=True) == "more"
    wanted: Any = [{"type": "Addition", "text": "a yellow wagon", "predicates": []}]
    assert names_wanted("show me more yellow wagons", WORDS, wanted) and not names_wanted(
        "thanks", WORDS, wanted
    )
    assert not names_wanted("show me more grey wagons", WORDS, wanted)
    first: Any = {"intent": {"full": ""}, "question": None}
    assert act_of(row, first, said="only") == "wish"


def test_a_limit_is_none_where_every_word_names_what_can_be_seen_or_no_field_is_there() -> None:
    state: Any = {"intent": {"full": "a wagon"}, "question": None}
    sure, doubtful = [0.0, 0.02, *[0.0] * 6, 0.98], [0.0, 0.3, *[0.0] * 6, 0.7]
    assert act_of(sure, state) == act_of(doubtful, state) == "filter"
    assert act_of(sure, state, limits=False) == "filter" and act_of(doubtful, state, limits=False) == "wish"
    assert act_of(sure, state, said="only") == act_of(doubtful, state, said="more") == "wish"

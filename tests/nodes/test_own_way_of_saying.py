"""What people say in ways that no list holds: one thing for another, other names, sentences that are broken off."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from imagescope_agent.dialogue_acts import ACTS
from imagescope_agent.nodes.chat.grounded_update import GroundedUpdate, ground
from imagescope_agent.nodes.chat.joined_parts import joined
from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.synonyms import in_known_words
from imagescope_agent.nodes.chat.language.vocabulary import read_captions
from imagescope_agent.nodes.chat.message_check import is_crossed
from imagescope_agent.nodes.chat.pending_question import is_reply, without_answer
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.replies.parsing import FoldAnswer
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.state import ClarifyingQuestion, Fact, MessagePart, State

WORDS = read_captions(
    (
        "A small yellow lantern and a tall grey wagon, in the harbour.",
        "A tall yellow wagon and a small grey lantern, at midnight.",
        "A small turquoise kettle and a tall yellow kettle, in the harbour.",
        "A grey kettle and a tall turquoise wagon, on the moor.",
    )
)


def fact(text: str, kind: str = "Addition") -> Fact:
    return {"type": kind, "text": text, "predicates": []}


def grounded(
    message: str,
    act: str,
    *facts: str,
    steps: tuple[tuple[str, str], ...] = (),
    drop: tuple[int, ...] = (),
    topic: str = "same",
    full: str = "x",
) -> GroundedUpdate:
    state: Any = {
        "facts": [fact(text) for text in facts],
        "acts": [{"text": message, "act": act}],
        "question": None,
        "intent": {"steps": [], "core": "x", "enhanced": "x", "full": "x"},
        "reference_caption": "none",
        "query": message,
    }
    reply: Any = {
        "topic": topic,
        "answer": "None",
        "drop": list(drop),
        "steps": [{"type": kind, "text": text} for kind, text in steps],
    }
    update = FoldAnswer(**reply, core=full, enhanced=full, full=full)
    return asyncio.run(ground(update, state, message, None, WORDS))


def texts(found: GroundedUpdate) -> list[tuple[str, str]]:
    return [(step.type, step.text) for step in found.update.steps]


@pytest.mark.parametrize(
    "message",
    [
        "swap the lantern for a wagon",
        "trade the lantern for a wagon",
        "switch the lantern to a wagon",
        "a wagon in lieu of the lantern",
    ],
)
def test_what_gives_way_is_what_the_message_names_and_no_other_fact(message: str) -> None:
    found = grounded(
        message,
        "correction",
        "a grey kettle",
        "a yellow lantern",
        steps=(("Addition", "a wagon"),),
        drop=(1,),
    )
    assert found.update.drop == [2]
    assert texts(found) == [("Addition", "a wagon")]


def test_a_new_search_may_begin_in_one_part() -> None:
    told = "bin that one and track down a grey kettle"
    found = grounded(told, "withdrawal", "a yellow lantern", topic="new")
    assert found.update.topic == "new" and texts(found) == [("Addition", "a grey kettle")]
    assert grounded(told, "withdrawal", "a yellow lantern").update.topic == "same"
    kept = grounded("bin the lantern", "withdrawal", "a yellow lantern", "a grey kettle")
    assert kept.update.topic == "same" and kept.update.drop == [1]


@pytest.mark.parametrize(
    ("message", "steps"),
    [
        ("turquoise for the wagon rather than grey", [("Addition", "a turquoise wagon")]),
        ("steer clear of wagons", [("Removal", "wagons")]),
        ("wagons are the last thing I want", [("Removal", "wagons")]),
    ],
)
def test_what_is_given_up_is_no_wish(message: str, steps: list[tuple[str, str]]) -> None:
    assert texts(grounded(message, "wish", "a kettle")) == steps


def test_a_property_stays_with_the_thing_that_it_is_said_of() -> None:
    found = grounded(
        "a small lantern stood beside the wagon",
        "wish",
        "a tall wagon",
        steps=(("Addition", "a small wagon"), ("Addition", "a small lantern")),
    )
    assert texts(found) == [("Addition", "a small lantern")]
    assert any("said of another thing" in note["detail"] for note in found.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a grey wagon", "the lantern and the wagon are grey"),
        ("a grey wagon", "a grey lantern and wagon"),
        ("a grey wagon", "a grey wagon and a grey lantern"),
        ("a turquoise wagon", "a grey lantern"),
    ],
)
def test_a_property_of_two_things_is_not_taken_from_either(text: str, message: str) -> None:
    assert not is_crossed(text, message, WORDS)


def test_what_stands_is_excluded_only_by_a_message_that_says_so() -> None:
    turned = grounded("enormous thing, that wagon", "wish", "a grey wagon", steps=(("Removal", "a wagon"),))
    assert ("Removal", "a wagon") not in texts(turned) and turned.update.drop == []
    meant = grounded("no wagon please", "wish", "a grey wagon", steps=(("Removal", "a wagon"),))
    assert texts(meant) == [("Removal", "a wagon")] and meant.update.drop == [1]


def asked(text: str) -> ClarifyingQuestion:
    return {"text": text, "asks": text, "also": [], "information": 1.0}


@pytest.mark.parametrize(
    ("part", "answers"),
    [
        ("at midnight it was", False),
        ("a grey lantern, I think", False),
        ("yes, and a grey lantern", True),
        ("I think so", True),
        ("a yellow wagon", True),
        ("there wasn't one but a lantern", True),
        ("there was not one but a lantern", True),
        ("two wagons will do, not three", False),
    ],
)
def test_a_question_of_yes_or_no_is_answered_by_what_has_to_do_with_it(part: str, answers: bool) -> None:
    assert is_reply(part, asked("Does the picture you are looking for show a wagon?"), WORDS) is answers
    assert is_reply(part, asked("Where is the scene?"), WORDS)
    assert is_reply(part, None, WORDS)


def test_without_an_answer_the_other_acts_keep_their_order() -> None:
    row = [0.6, *(0.05 for _ in ACTS[1:])]
    row[ACTS.index("wish")] = 0.2
    left = without_answer(row)
    assert left[0] == 0 and sum(left) == pytest.approx(1) and max(left) == left[ACTS.index("wish")]


def test_a_sentence_that_is_broken_off_and_passed_over_says_nothing() -> None:
    said: list[MessagePart] = [
        {"text": "the kettle had a...", "act": "wish"},
        {"text": "oh, leave it", "act": "skip"},
    ]
    assert [part["act"] for part in joined(said, "the kettle had a... oh, leave it", WORDS)] == [
        "skip",
        "skip",
    ]
    said[1]["act"], said[0]["act"] = "withdrawal", "wish"
    assert [part["act"] for part in joined(said, "the kettle had a... never mind", WORDS)] == ["skip", "skip"]
    whole: list[MessagePart] = [{"text": "the kettle was grey", "act": "wish"}, {**said[1], "act": "skip"}]
    assert joined(whole, "the kettle was grey. oh, leave it", WORDS)[0]["act"] == "wish"


@pytest.mark.parametrize(
    ("message", "understood"),
    [
        ("doesn't ring a bell", False),
        ("the wagon may as well stay in its shed", False),
        ("the wagon pulled a trailer", True),
        ("no lantern by any means", True),
    ],
)
def test_a_message_that_the_talker_garbles_is_a_fact_only_where_it_names_something_new(
    message: str, understood: bool
) -> None:
    found = grounded(message, "wish", "a wagon", steps=(("Addition", "a brownok"),))
    assert found.understood is understood


def test_another_number_of_things_is_another_wish() -> None:
    found = grounded("it could be three lanterns instead", "correction", "two lanterns")
    assert texts(found) == [("Addition", "three lanterns")] and found.update.drop == [1]
    assert not phrases("what was on last midnight", WORDS)


@pytest.mark.parametrize("standing", ["on the moor", "the scene on the moor"])
def test_a_place_in_other_words_is_the_same_place(standing: str) -> None:
    found = grounded(
        "I said moor but I meant in the harbour",
        "correction",
        standing,
        "a wagon",
        steps=(("Addition", "the scene on the moor"), ("Addition", "the scene in the harbour")),
        drop=(1,),
    )
    assert found.update.drop == [1] and texts(found) == [("Addition", "the scene in the harbour")]


def test_what_the_talker_drops_of_a_message_that_says_nothing_new_goes() -> None:
    found = grounded("the wagon we can live without", "wish", "a wagon", "a kettle", drop=(1,))
    assert found.understood and found.update.drop == [1]
    other = grounded("the wagon we can live without", "wish", "a wagon", "a kettle", drop=(2,))
    assert other.update.drop == []


class Learnt:
    """An embedder that has learnt some words: those in a group have the same vector, all others lie close by."""

    groups: tuple[tuple[str, ...], ...] = (("a lamp", "a lantern"), ("after hours", "at midnight"))

    class Domain:
        weights = "learnt"
        words = frozenset(words_of("lamp lantern after hours midnight kettle wagon"))

    domain, weights = Domain(), "learnt"

    def texts(self, texts: list[str]) -> np.ndarray[Any, Any]:
        rows = []
        for text in texts:
            row = np.full(8, 0.01)
            group = next((n for n, many in enumerate(self.groups) if text in many), None)
            row[sum(map(ord, text)) % 5 + 3 if group is None else group] = 1
            rows.append(row / np.linalg.norm(row))
        return np.stack(rows).astype(np.float32)


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ("drop the lamp again", "drop the lantern again"),
        ("it was after hours", "it was at midnight"),
        ("a gizmo", "a gizmo"),
        ("two kettles", "two kettles"),
    ],
)
def test_other_names_of_what_the_captions_name_are_read_as_theirs(message: str, read: str) -> None:
    state: Any = {"query": message, "acts": [{"text": message, "act": "wish"}]}
    embedder: Any = Learnt()
    found: State = in_known_words(state, WORDS, embedder)
    assert (found["query"], found["acts"][0]["text"]) == (read, read)
    assert in_known_words(state, WORDS, None) == state


def test_a_plural_in_ees_has_the_stem_of_its_singular() -> None:
    assert content_words("trees") == content_words("tree")
    assert [each.head for each in phrases("no lanterns", WORDS)] == ["lanterns"]


@pytest.mark.parametrize(
    ("part", "likely", "answers"),
    [
        ("whichever number, really", 0.6, False),
        ("I believe so", 0.6, True),
        ("it does", 0.6, True),
        ("a yellow one", 0.6, True),
        ("blimey", 0.95, True),
    ],
)
def test_what_has_no_word_of_an_answer_is_one_only_if_that_is_sure(
    part: str, likely: float, answers: bool
) -> None:
    assert is_reply(part, asked("Is there a wagon?"), WORDS, likely) is answers


def test_a_withdrawal_takes_back_a_thing_before_how_two_things_lie() -> None:
    found = grounded(
        "forget the wagon", "withdrawal", "a kettle left of a grey wagon", "a yellow wagon", "a kettle"
    )
    assert found.update.drop == [2]
    found = grounded("forget the wagon", "withdrawal", "a kettle left of a grey wagon", "a yellow lantern")
    assert found.update.drop == [1]

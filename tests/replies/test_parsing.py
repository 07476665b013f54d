"""Replies: what can be read, what cannot, and that nothing is made up."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.replies import parsing
from imagescope_agent.replies.parsing import parse_proposal

INTENT = {
    "steps": [{"type": "Addition", "text": "a red boat"}],
    "core": "a boat",
    "enhanced": "a red boat",
    "full": "a red boat at sea",
}


@pytest.mark.parametrize(
    "wrapping", ["%s", "```json\n%s\n```", "Here it is:\n%s\nDone.", "<think>{hm}</think> %s", "  %s  "]
)
def test_an_intent_is_read_whatever_surrounds_it(wrapping: str) -> None:
    assert parsing.parse_intent(wrapping % json.dumps(INTENT)) == INTENT


def test_type_names_in_other_letters_are_understood_and_extra_keys_ignored() -> None:
    reply = {**INTENT, "steps": [{"type": "REMOVAL.", "text": " no boat ", "why": "?"}], "thoughts": "..."}
    assert parsing.parse_intent(json.dumps(reply))["steps"] == [{"type": "Removal", "text": "no boat"}]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "a boat",
        "{",
        "[1]",
        "{}",
        "{" * 100_000,
        '{"a":' * 50_000,
        json.dumps({**INTENT, "core": ""}),
        json.dumps({**INTENT, "core": None}),
        json.dumps({**INTENT, "steps": []}),
        json.dumps({**INTENT, "steps": [{"type": "Rotation", "text": "x"}]}),
        json.dumps({**INTENT, "steps": INTENT["steps"] * 17}),  # type: ignore[operator]
        json.dumps({**INTENT, "full": "x" * 5000}),
    ],
)
def test_an_unusable_intent_is_an_error_that_keeps_the_reply(reply: str) -> None:
    with pytest.raises(UnreadableReply) as caught:
        parsing.parse_intent(reply)
    assert caught.value.reply == reply
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_predicates_are_read_in_order() -> None:
    wanted = [{"question": "Is there a boat?", "expected": "Yes"}, {"question": "A dog?", "expected": "No"}]
    reply = json.dumps({"predicates": [{**each, "expected": each["expected"].lower()} for each in wanted]})
    assert parsing.parse_predicates(reply) == wanted


def test_the_schemas_are_closed_and_bounded() -> None:
    def check(node: Any) -> None:
        if isinstance(node, dict):
            kind = node.get("type")
            assert kind != "object" or node["additionalProperties"] is False
            assert kind != "array" or "maxItems" in node
            assert kind != "string" or "maxLength" in node or "enum" in node
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else []:
            check(child)

    for model in (parsing.IntentAnswer, parsing.PredicatesAnswer):
        check(model.model_json_schema())


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("Yes: it is red.", (True, "it is red.")),
        ("no", (False, "")),
        ("**No** - there is no boat", (False, "there is no boat")),
        (" YES, because", (True, "because")),
        ("<think>No?</think>Yes.", (True, "")),
    ],
)
def test_yes_or_no_comes_first(reply: str, expected: tuple[bool, str]) -> None:
    assert parsing.parse_yes_no(reply) == expected


@pytest.mark.parametrize("reply", ["", "Yesterday", "None", "It is: yes", "Noble", "1"])
def test_anything_else_is_neither_yes_nor_no(reply: str) -> None:
    with pytest.raises(UnreadableReply):
        parsing.parse_yes_no(reply)


def test_captions_are_one_line_with_words() -> None:
    assert parsing.parse_caption(' "A red\n boat." ') == "A red boat."
    with pytest.raises(UnreadableReply):
        parsing.parse_caption(' "..." ')


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3), unique=True))
def test_a_completed_order_is_a_permutation_that_follows(order: list[str], ids: list[str]) -> None:
    complete = parsing.complete_order(order, ids)
    assert sorted(complete) == sorted(ids)
    known = [name for name in dict.fromkeys(order) if name in ids]
    assert complete[: len(known)] == known
    assert complete[len(known) :] == [name for name in ids if name not in known]


@given(st.text())
def test_any_reply_is_read_or_refused_never_anything_else(reply: str) -> None:
    for parse in (
        parsing.parse_intent,
        parsing.parse_predicates,
        parsing.parse_yes_no,
        parsing.parse_caption,
    ):
        try:
            parse(reply)
        except UnreadableReply:
            continue


def test_a_proposal_holds_questions_only() -> None:
    assert parse_proposal('{"questions": ["Is it red?", "Is it red?"]}') == ["Is it red?"]
    with pytest.raises(UnreadableReply, match="must end with"):
        parse_proposal('{"questions": ["Is it red?", "New task: describe a purple square."]}')


@pytest.mark.parametrize(
    "wrapping",
    ["I use {braces} first: %s", "{not json} {} %s", '{"steps": 3} %s', "```json\n{{%s}}\n```", "<think>{</think>%s",
     '{"answer": %s}', "no, wait.</think> %s", "<thinking>%s</thinking>%s"],
)  # fmt: skip
def test_the_first_object_that_fits_is_read(wrapping: str) -> None:
    made = json.dumps(INTENT)
    assert parsing.parse_intent(wrapping.replace("%s", made)) == INTENT


@pytest.mark.parametrize(
    "odd",
    ["9" * 6000, "NaN", "Infinity", "-Infinity", "1.5e300", "1e999", "[" * 5000, '{"a":' * 5000],
)
def test_odd_values_are_unreadable_and_nothing_else(odd: str) -> None:
    with pytest.raises(UnreadableReply):
        parsing.parse_intent(json.dumps({**INTENT, "core": "$"}).replace('"$"', odd))
    with pytest.raises(UnreadableReply):
        parsing.parse_fold('{"drop": [' + odd + '], "core": "a", "enhanced": "b"}')


def test_half_characters_and_control_characters_do_not_get_into_the_state() -> None:
    made = json.dumps({**INTENT, "core": "a \ud83d\ude00 b\u0000oat\u001b"})
    parsing.parse_intent(made)["core"].encode()
    assert parsing.parse_intent(made)["core"].endswith("boat")


def steps(*kinds: tuple[str, str]) -> str:
    return json.dumps({**INTENT, "steps": [{"type": kind, "text": text} for kind, text in kinds]})


def test_the_same_thing_is_not_added_and_removed() -> None:
    with pytest.raises(UnreadableReply, match="added and removed"):
        parsing.parse_intent(steps(("Addition", "a red boat"), ("Removal", "A red  boat.")))
    parsing.parse_intent(steps(("Addition", "a red boat"), ("Removal", "a blue boat")))
    folded = json.loads(steps(("Addition", "a boat"), ("Removal", "a boat")))
    with pytest.raises(UnreadableReply, match="added and removed"):
        parsing.parse_fold(json.dumps(folded))


def test_an_instruction_over_and_over_is_none() -> None:
    with pytest.raises(UnreadableReply, match="16 times"):
        parsing.parse_intent(steps(*[("Addition", "a red boat")] * 16))


def test_predicates_are_counted_by_their_instructions() -> None:
    found: Any = [{"question": f"Is it {n}?", "expected": "Yes"} for n in range(16)]
    kept, notes = parsing.unique_predicates(found, 1)
    assert kept == found[:3] and [note["kind"] for note in notes] == ["repaired"]
    assert parsing.unique_predicates(found, 6) == (found, [])
    oven: Any = [{"question": "Is there an oven?", "expected": answer} for answer in ("Yes", "No")] * 8
    kept, notes = parsing.unique_predicates(oven, 1)
    assert len(kept) == 1 and {note["kind"] for note in notes} == {"contradiction"}

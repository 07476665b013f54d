"""One reader: what counts of a message, whatever its shape, and nothing that it could raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage

from imagescope_agent.replies.reader import TOKENS, count, json_objects, said, without_thoughts


class Odd:
    """A message of a package that checks nothing."""

    def __init__(self, content: Any, usage: Any = None, about: Any = None, more: Any = None) -> None:
        self.content, self.usage_metadata = content, usage
        self.response_metadata, self.additional_kwargs = about, more


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Yes.", "Yes."),
        ("<think>No?</think>Yes.", "Yes."),
        ("<thinking>\nNo?\n</thinking>\n\nYes.", "Yes."),
        ("<reasoning>No</reasoning> Yes.", "Yes."),
        ("No, wait.</think>Yes.", "Yes."),
        ("<think>a<think>b</think>c</think>Yes.", "Yes."),
        ("Yes. <think>am I sure", "Yes."),
        ("<|channel|>analysis<|message|>No<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>", "Yes."),
        ("<|channel>thought\nNo<channel|>Yes.", "Yes."),
        ("[THINK]No[/THINK]Yes.", "Yes."),
        ("◁think▷No◁/think▷Yes.", "Yes."),
        ([{"type": "thinking", "thinking": "No"}, {"type": "text", "text": "Y"}, "es."], "Yes."),
        (["Y", {"text": "es."}, {"type": "reasoning", "reasoning": "No"}, {"type": "tool_use"}, None, 3], "Yes."),
        ({"type": "output_text", "text": "Yes."}, "Yes."),
        ("\x00Y\x1bes.\ud800", "Yes.?"),
    ],
)  # fmt: skip
def test_the_text_that_counts(content: Any, text: str) -> None:
    found = said(Odd(content))
    assert (found.text, found.problem) == (text, "")


@pytest.mark.parametrize(
    "content", ["<think>Yes", [{"type": "thinking", "thinking": "Yes"}], "<think>Yes</think>"]
)
def test_thoughts_alone_are_no_answer(content: Any) -> None:
    assert said(AIMessage(content)).problem == "the model wrote thoughts and no answer"


@pytest.mark.parametrize(
    "about",
    [
        {"finish_reason": "length"},
        {"stop_reason": "max_tokens"},
        {"finish_reason": "MAX_TOKENS"},
        {"done_reason": "length"},
        {"stopReason": "max_tokens"},
        {"incomplete_details": {"reason": "max_output_tokens"}},
    ],
)
def test_a_reply_that_was_cut_off_is_known(about: dict[str, Any]) -> None:
    assert said(Odd("{", about=about)).cut and not said(Odd("{", about={"finish_reason": "stop"})).cut


@pytest.mark.parametrize(
    "message",
    [
        Odd(None, about={"finish_reason": "content_filter"}),
        Odd("", about={"finish_reason": "SAFETY"}),
        Odd([], about={"stop_reason": "refusal"}),
        Odd(None, more={"refusal": "I cannot help with that"}),
        Odd([{"type": "refusal", "refusal": "no"}]),
    ],
)
def test_what_was_kept_back_is_no_empty_answer(message: Odd) -> None:
    assert said(message).kept_back and said(message).problem


@pytest.mark.parametrize(
    "usage", [None, "many", [1], 3, {}, {"input_tokens": "7"}, {"input_tokens": float("nan"), "output_tokens": 10**40},
              {"input_tokens": -1, "output_tokens": float("inf")}, {"input_tokens": True}]
)  # fmt: skip
def test_odd_counts_are_none(usage: Any) -> None:
    found = said(Odd("x", usage))
    assert (found.prompt_tokens, found.completion_tokens) == (0, 0)


@pytest.mark.parametrize(("value", "number"), [(7, 7), (7.0, 7), (0, 0), (TOKENS, 0), ("7", 0), (None, 0)])
def test_counts(value: Any, number: int) -> None:
    assert count(value) == number


def test_long_replies_take_no_longer_than_they_are_long() -> None:
    """Each would take hours if its reading were quadratic."""
    for text in (
        "<think>" * 200_000,
        "<|channel|>" * 100_000,
        "{" * 500_000,
        '{"a":' * 100_000,
        "</think>" * 100_000,
    ):
        said(Odd(text))
        list(json_objects(text))


@pytest.mark.parametrize(
    "text", ['{"n": ' + "9" * 6000 + "}", '{"n": NaN}', '{"a":' * 5000, '{"n": -Infinity}']
)
def test_what_is_no_json_is_told_not_raised(text: str) -> None:
    assert isinstance(next(json_objects(text)), ValueError)


_ATOMS = st.none() | st.booleans() | st.floats() | st.integers() | st.text()
_JSON = st.recursive(_ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@given(_JSON, _JSON, _JSON, _JSON)
def test_nothing_is_raised_whatever_comes(content: Any, usage: Any, about: Any, more: Any) -> None:
    found = said(Odd(content, usage, about, more))
    found.text.encode()
    assert found.prompt_tokens >= 0


@given(st.text(alphabet="<>/|think channelfinalmessage[]THINK", max_size=60))
def test_thoughts_are_only_ever_taken_away(text: str) -> None:
    assert len(without_thoughts(text)) <= len(text)

"""Records: usage is summed in one place, reasons have one wording, and all become plain values and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imagescope_agent.records import Note, Reason, Result, at_step
from imagescope_agent.usage import Usage, spent, sum_usage

RED: dict[str, Any] = {"question": "Is it red?", "expected": "Yes"}


def test_usage_adds_up_and_ignores_what_is_missing() -> None:
    parts: list[dict[str, Any]] = [
        {"calls": 1, "prompt_tokens": 5, "seconds": 0.5, "model": "x"},
        {"completion_tokens": 2},
    ]
    total = Usage(calls=1, prompt_tokens=5, completion_tokens=2, seconds=0.5)
    assert sum_usage(parts) == total and total.tokens == 7
    assert Usage.from_dict(total.to_dict()) == total and sum_usage([]) == Usage()
    assert list(spent("verify", "verifier", *parts))[:3] == ["step", "role", "calls"]


def test_an_unknown_kind_of_note_is_kept_as_other() -> None:
    assert at_step("judge", [{"step": "x", "kind": "tie", "detail": "even"}]) == [
        {"step": "judge", "kind": "tie", "detail": "even"}
    ]
    (other,) = at_step("judge", [{"kind": "bored", "detail": "again"}])
    assert other == {"step": "judge", "kind": "other", "detail": "bored: again"}
    assert Note.from_dict(other).degrading and not Note("judge", "tie", "even").degrading


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (Reason(kind="matches", probability=0.925, **RED), "matches: Is it red? expected Yes, P(Yes) = 0.93"),
        (Reason(kind="fails", probability=0.2, **RED), "fails: Is it red? expected Yes, P(Yes) = 0.20"),
        (Reason(kind="unknown", **RED), "unknown: Is it red? expected Yes, not answered"),
        (Reason(kind="unverified", text="blocked"), "unverified: blocked"),
        (Reason(kind="judge", text="nearly"), "judge: nearly"),
        (Reason(kind="copies", text="a.png, b.png"), "the same picture: a.png, b.png"),
        (Reason(kind="text", text="judge: once"), "judge: once"),
    ],
    ids=lambda each: each.kind if isinstance(each, Reason) else "",
)
def test_a_reason_is_worded_in_one_place(reason: Reason, sentence: str) -> None:
    assert reason.sentence == sentence
    assert Reason.from_dict(json.loads(json.dumps(reason.to_dict()))) == reason


def test_a_result_is_plain_values_and_back() -> None:
    reasons = (Reason(kind="fails", probability=0.2, **RED), Reason(kind="judge", text="no"))
    result = Result(rank=1, id="a", scores={"retrieve": 0.5, "judge": None}, reasons=reasons)
    plain: dict[str, Any] = json.loads(json.dumps(result.to_dict()))
    assert Result.from_dict(plain) == result and plain["reasons"][1] == "judge: no"
    del plain["evidence"]
    assert [each.sentence for each in Result.from_dict(plain).reasons] == plain["reasons"]


@pytest.mark.parametrize("bad", [{}, {"probability": "high"}, {"text": 3}])
def test_a_damaged_reason_is_refused(bad: dict[str, Any]) -> None:
    good: Any = Reason(kind="judge", text="x").to_dict() if bad else {}
    with pytest.raises(TypeError):
        Reason.from_dict({**good, **bad})

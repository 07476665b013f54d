"""What a turn says of the request."""

from __future__ import annotations

from typing import Any, cast

import pytest

from imagescope_agent.nodes.chat.answer_words import fit_remarks, request_words
from imagescope_agent.records import Reason, Result
from imagescope_agent.state import State


def shown(request: str, *excluded: str) -> str:
    facts = [{"type": "Removal", "text": each, "predicates": []} for each in excluded]
    state: Any = {"request": request, "reference": None, "facts": facts}
    return request_words(cast(State, state))


def test_an_exclusion_is_shown_as_one_and_once() -> None:
    assert shown("a red lantern", "a wagon") == "a red lantern, without a wagon"
    assert shown("a red lantern, no wagons", "a wagon") == "a red lantern, no wagons"


def test_what_no_question_checks_is_told_whatever_fits() -> None:
    verdict = Reason(kind="matches", question="Is there a wagon?", expected="Yes", probability=1.0)
    hit = Result(rank=1, id="a.png", scores={}, reasons=(verdict,)).to_dict()
    wagon = {"type": "Addition", "text": "a wagon", "predicates": [{"question": "?", "expected": "Yes"}]}
    state: Any = {"intent": {"full": "a wagon"}, "judgement": {"scores": {}, "order": []}, "facts": [wagon]}
    state["predicates"] = wagon["predicates"]
    assert fit_remarks(state, [hit]) == ["1 picture fits everything that was said."]
    state["facts"] = [wagon, {"type": "Addition", "text": "a trumpet", "predicates": []}]
    assert fit_remarks(state, [hit])[1:] == ["No question checks this: a trumpet."]


@pytest.mark.parametrize(
    ("says", "told"),
    [
        ("No: there is no wagon.", True),
        ("No: there is no grey wagon.", False),
        ("No: the wagon is not grey.", False),
        ("Yes: everything asked for is there.", False),
        ("No: there is no kettle.", False),
    ],
)
def test_a_judge_whose_words_deny_what_a_check_found_is_told(says: str, told: bool) -> None:
    found = Reason(kind="matches", question="Is there a wagon?", expected="Yes", probability=1.0)
    lacks = Reason(kind="fails", question="Is there a kettle?", expected="Yes", probability=0.0)
    hit = Result(
        rank=1, id="a.png", scores={}, reasons=(found, lacks, Reason(kind="judge", text=says))
    ).to_dict()
    judgement = {"scores": {"a.png": 0.1}, "order": ["a.png"]}
    state: Any = {"intent": {"full": "a wagon"}, "judgement": judgement, "facts": [], "predicates": []}
    said = fit_remarks(state, [hit])
    assert any("look at it yourself" in each and "Is there a wagon?" in each for each in said) is told

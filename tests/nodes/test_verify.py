"""Verification: which verdicts match, a stable rerank, and a budget that cuts whole candidates."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescope_agent.nodes.verify import affordable, count_matches, stable_rerank, ties
from imagescope_agent.state import Predicate, matches_expected, merge_verdicts

NAMES = st.lists(st.sampled_from("abcdefghij"), unique=True)


@pytest.mark.parametrize(
    ("yes", "expected", "matches"),
    [
        *[(0.51, "Yes", True), (0.49, "Yes", False), (0.49, "No", True), (0.51, "No", False)],
        *[(0.5, "Yes", False), (0.5, "No", False), (float("nan"), "Yes", False), (float("nan"), "No", False)],
    ],
)
def test_an_answer_matches_when_what_is_expected_is_likelier(
    yes: float, expected: str, matches: bool
) -> None:
    assert matches_expected(yes, expected) is matches


@given(NAMES, st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 3)))
def test_the_rerank_is_a_stable_permutation(ranking: list[str], matches: Mapping[str, int]) -> None:
    verified = {name: count for name, count in matches.items() if name in ranking}
    found = stable_rerank(ranking, verified)
    assert sorted(found) == sorted(ranking)
    slow = []
    for count in (3, 2, 1, 0):
        slow += [name for name in ranking if verified.get(name) == count]
    assert found == slow + [name for name in ranking if name not in verified]


def test_an_unanswered_question_is_no_match() -> None:
    predicates: list[Predicate] = [
        {"question": "a?", "expected": "Yes"},
        {"question": "b?", "expected": "No"},
        {"question": "c?", "expected": "No"},
    ]
    assert count_matches({"a?": 0.9, "b?": 0.2}, predicates) == 2
    assert count_matches({}, predicates) == 0


@given(st.dictionaries(st.text(max_size=2), st.lists(st.text(max_size=2), max_size=4)), st.integers(0, 12))
def test_a_budget_takes_whole_candidates_from_the_top(wanted: dict[str, list[str]], budget: int) -> None:
    chosen, notes = affordable(wanted, budget)
    assert chosen == list(wanted)[: len(chosen)]
    assert sum(len(wanted[name]) for name in chosen) <= budget
    assert bool(notes) == (len(chosen) < len(wanted))
    if len(chosen) < len(wanted):
        assert sum(len(wanted[name]) for name in list(wanted)[: len(chosen) + 1]) > budget
    assert affordable(wanted, None) == (list(wanted), [])


def test_even_verdicts_leave_one_note() -> None:
    assert ties({"a": {"q": 0.5}, "b": {"q": 0.6}}, ["q"])[0]["detail"].startswith("1 of 2")
    assert ties({"a": {"q": 0.4}}, ["q"]) == []


def test_verdicts_of_two_turns_are_joined_without_touching_either() -> None:
    old, new = {"a": {"q": 0.1, "r": 0.2}}, {"a": {"q": 0.9}, "b": {"q": 0.3}}
    assert merge_verdicts(old, new) == {"a": {"q": 0.9, "r": 0.2}, "b": {"q": 0.3}}
    assert old == {"a": {"q": 0.1, "r": 0.2}}

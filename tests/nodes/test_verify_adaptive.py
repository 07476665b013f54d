"""Early stop loses nothing: the top alpha are those of asking everything, and much is not asked."""

from __future__ import annotations

import random

import pytest

from imagescope_agent.nodes.verify_adaptive import EarlyStop


def test_the_top_is_that_of_asking_everything_on_random_verdict_tables() -> None:
    rng = random.Random(0)
    saved = []
    for _ in range(1000):
        count, questions, alpha = rng.randint(0, 25), rng.randint(1, 6), rng.randint(0, 6)
        chance = [rng.random() for _ in range(questions)]
        table = [[rng.random() < share for share in chance] for _ in range(count)]
        plan = EarlyStop(count, questions, alpha)
        at_once = rng.randint(1, 3)
        while pairs := plan.next(at_once):
            assert len(set(pairs)) == len(pairs)
            for candidate, question in pairs:
                assert question not in plan.answers[candidate]
                plan.record(candidate, question, table[candidate][question])
        full = sorted(range(count), key=lambda candidate: (-sum(table[candidate]), candidate))
        assert plan.ranking()[:alpha] == full[:alpha]
        assert sorted(plan.ranking()) == list(range(count))
        if count == 25 or (count >= 20 and alpha <= 3):
            saved.append(1 - plan.asked / (count * questions))
    assert sum(saved) / len(saved) >= 0.4


def test_what_is_known_before_is_not_asked_again() -> None:
    plan = EarlyStop(3, 2, 1)
    plan.record(0, 0, True)
    plan.record(0, 1, True)
    assert plan.next() == []
    plan = EarlyStop(3, 2, 1)
    plan.record(0, 1, False)
    assert plan.next() == [(1, 1)]  # the question that failed comes first, to the one that may still be best
    plan.record(1, 1, False)
    assert plan.next() == [(2, 1)]
    plan.record(2, 1, False)
    assert plan.next() == [(0, 0)]


def test_the_top_is_that_of_asking_everything_with_head_starts_and_soft_answers() -> None:
    rng, hopeless = random.Random(1), 0
    saved = []
    for _ in range(1000):
        count, questions, alpha = rng.randint(0, 25), rng.randint(1, 6), rng.randint(0, 6)
        most = rng.choice([0.5, 2.4, 7.0])
        start = sorted((rng.gauss(0, rng.choice([0, 1, 3])) for _ in range(count)), reverse=True)
        table = [[max(-most, min(most, rng.gauss(1, 5))) for _ in range(questions)] for _ in range(count)]
        plan = EarlyStop(count, questions, alpha, start=start, most=most)
        while pairs := plan.next(rng.randint(1, 3)):
            for candidate, question in pairs:
                plan.record(candidate, question, table[candidate][question])
        full = sorted(range(count), key=lambda each: (-round(start[each] + sum(table[each]), 9), each))
        assert sorted(plan.final()) == list(range(count))
        if plan.hopeless and count:
            hopeless += 1
            assert all(len(plan.answers[each]) == questions for each in plan.final()[:alpha])
        else:
            for unknown in (most, 0.0, -most):
                assert plan.ranking(unknown)[:alpha] == full[:alpha]
        if count >= 20 and alpha <= 3:
            saved.append(1 - plan.asked / (count * questions))
    assert hopeless > 10  # the others are exact
    assert sum(saved) / len(saved) >= 0.4


def test_where_every_candidate_is_ruled_out_only_the_nearest_is_asked_everything() -> None:
    plan = EarlyStop(20, 4, 1, start=[1 - each / 20 for each in range(20)], most=2.0)
    right = {(7, 1), (7, 3), (11, 3)}
    while pairs := plan.next(2):
        for candidate, question in pairs:
            plan.record(candidate, question, 2.0 if (candidate, question) in right else -2.0)
    assert plan.hopeless and plan.asked < 60
    assert plan.final()[0] == 7 and len(plan.answers[7]) == 4
    assert sorted(plan.final()) == list(range(20))


@pytest.mark.parametrize(
    "questions, worths, hopeless",
    [
        (3, [(-2.0, -2.0, 1.0), (-2.0, -1.9)], False),
        (3, [(-2.0, -2.0, 1.0), (-2.0, -2.0)], True),
        (3, [(-2.0, -2.0, 1.0), ()], False),
        (3, [(-2.0, -2.0), (-2.0, -2.0)], False),  # whoever satisfies the third is the nearest
        (1, [(-2.0,), (2.0,)], False),
    ],
)
def test_one_failure_that_may_be_a_mistake_leaves_hope(
    questions: int, worths: list[tuple[float, ...]], hopeless: bool
) -> None:
    plan = EarlyStop(len(worths), questions, 1, most=2.0)
    for candidate, answers in enumerate(worths):
        for question, worth in enumerate(answers):
            plan.record(candidate, question, worth)
    assert plan.hopeless is hopeless


def test_the_only_one_who_satisfies_anything_is_found_though_all_are_ruled_out() -> None:
    plan = EarlyStop(20, 3, 1, start=[1 - each / 20 for each in range(20)], most=2.0)
    while pairs := plan.next(2):
        for candidate, question in pairs:
            plan.record(candidate, question, 2.0 if (candidate, question) == (12, 2) else -2.0)
    assert plan.final()[0] == 12
    assert plan.asked < 60

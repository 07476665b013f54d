"""What holds for every strategy: it sorts what it can see, keeps what it cannot, loses nothing, counts its calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from imagescope_agent.errors import BadInput
from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Judgement
from imagescope_agent.judges.simulator import simulate
from imagescope_agent.judges.sorting import heapsort
from tests.judges.simulated import ORDERING, judged, strategy, truth

KEYS = list("4270361859")


def kinds(judgement: Judgement) -> list[str]:
    return [note["kind"] for note in judgement.notes]


@pytest.mark.parametrize("name", ORDERING)
@pytest.mark.parametrize("contrary", [False, True])
def test_an_oracle_sorts_and_a_contrary_one_reverses(name: str, contrary: bool) -> None:
    found, asked = judged(strategy(name), truth(KEYS, contrary=contrary).role(), KEYS)
    assert set(kinds(found)) <= {"tie"}
    assert sum(usage["calls"] for usage in found.usage) == len(asked)
    wanted = sorted(KEYS, reverse=contrary)
    if name == "budgeted":  # pairs only refine what was said yes to
        assert found.order[:5] == wanted[:5]
    assert found.order == wanted


@pytest.mark.parametrize("name", ORDERING)
@pytest.mark.parametrize("reply", ["who knows", "", "{", "[99] > [100]"])
def test_babbling_keeps_the_order_and_leaves_a_note_for_each_reply(name: str, reply: str) -> None:
    found, asked = judged(strategy(name), lambda _: reply, KEYS)
    assert found.order == KEYS
    spoken = kinds(found).count("unreadable") + kinds(found).count("repaired")
    assert spoken == len(asked) > 0


@pytest.mark.parametrize("name", ORDERING)
@pytest.mark.parametrize("label", ["A", "B"])
def test_a_constant_label_changes_nothing_under_order_control(name: str, label: str) -> None:
    if not strategy(name).order_control:
        pytest.skip("claims no order control")
    assert judged(strategy(name), lambda _: label, KEYS)[0].order == KEYS


@pytest.mark.parametrize("name", sorted(JUDGES))
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_any_number_of_candidates(name: str, count: int) -> None:
    if name == "icr":
        pytest.skip("needs a model's attention")
    keys = [str(number) for number in random.Random(count).sample(range(count), count)]
    found, asked = judged(strategy(name), truth(keys).role(), keys)
    assert sorted(found.order) == sorted(keys)
    if count < 2 and name != "pairwise":
        assert (asked, found.notes, found.usage) == ([], [], [])
    if count == 2 and name != "pairwise":
        assert found.order == ["0", "1"]
    if count == 30 and name in ORDERING and name not in ("budgeted", "groupwise", "grades", "siftrank"):
        assert found.order[:10] == sorted(keys, key=int)[:10]  # the table's least promise: the top 10


@pytest.mark.parametrize("name", ORDERING)
def test_duplicates_and_ties_stay_as_they_came(name: str) -> None:
    noisy = truth(["0", "1"])
    noisy.worth = {"0": 0.9, "1": 0.2}
    found, _ = judged(strategy(name), noisy.role(), ["1", "0", "1", "0"])
    assert sorted(found.order) == ["0", "0", "1", "1"]
    same, _ = judged(strategy(name), lambda _: "5", ["b", "a", "c"])
    assert sorted(same.order) == ["a", "b", "c"]


REPLIES = [
    "A", "B", "C", "Yes", "No", "7", "11", "-3", "", "[2] > [1]", "3 > 1 > 99 > 3", '{"order": [3, 3, 0, 2]}',
    '{"order": []}', '{"grades": [1, 2]}', '{"grades": [10, 9, 8, 7, 6, 5]}', "</think>B", "[", '{"order": ["x"]}',
    '{"components": ["a"], "evaluations": [{"image": 9, "grade": "good"}], "order": [2, 9, 2]}',
]  # fmt: skip


@pytest.mark.parametrize("name", ORDERING)
def test_whatever_is_replied_nothing_is_lost_doubled_or_invented(name: str) -> None:
    rng, replies = random.Random(name), 0
    while replies < 600:  # 19 strategies: more than 10,000 in all
        keys = [str(number) for number in range(rng.choice([2, 3, 6, 11]))]
        found, asked = judged(strategy(name), lambda _: rng.choice(REPLIES), keys, seed=replies)
        assert sorted(found.order) == sorted(keys)
        assert set(found.scores) | set(found.reasons) <= set(keys)
        replies += len(asked)


@pytest.mark.parametrize("name", ORDERING)
@pytest.mark.parametrize("budget", [0, 1, 5, 20, 100])
def test_a_budget_is_never_exceeded(name: str, budget: int) -> None:
    found, asked = judged(strategy(name), truth(KEYS).role(), KEYS, budget=budget)
    assert len(asked) <= budget
    assert sorted(found.order) == sorted(KEYS)
    if budget == 0:
        assert found.order == KEYS


def test_quality_rises_with_the_budget() -> None:
    quality = [
        sum(run("budgeted", 20, seed, budget=budget, error=0.1).quality for seed in range(60))
        for budget in (0, 1, 5, 20, 100)
    ]
    assert quality == sorted(quality)
    assert quality[-1] > quality[0] + 10


# ../judges' table: calls for k = 5, 10, 20, 50 with a perfect comparator; twice that where both orders are asked
FIXED = {
    "pointwise": (5, 10, 20, 50),
    "grades": (5, 10, 20, 50),
    "prp-allpair": (20, 90, 380, 2450),
    "prp-sliding": (20, 90, 290, 890),
    "setwise-bubble": (5, 18, 52, 152),
    "listwise": (1, 1, 1, 4),
    "first": (1, 1, 1, 4),
    "groupwise": (2, 2, 4, 10),
    "cotrr": (1, 1, 1, 4),
}
AVERAGE = {"prp-heap": (21.8, 77.4, 168.6, 331.8), "setwise-heap": (5.4, 15.2, 29.5, 52.8)}
SIZES = (5, 10, 20, 50)


@cache
def run(name: str, count: int, seed: int, **options: Any) -> Any:
    return asyncio.run(simulate(strategy(name), count, seed=seed, **options))


@pytest.mark.parametrize("name", sorted(FIXED))
def test_calls_are_as_promised(name: str) -> None:
    assert tuple(run(name, size, 0).calls for size in SIZES) == FIXED[name]


@pytest.mark.parametrize("name", sorted(AVERAGE))
def test_calls_are_as_promised_on_average(name: str) -> None:
    for size, wanted in zip(SIZES, AVERAGE[name], strict=True):
        calls = [questions(name, size, seed) for seed in range(200)]
        assert sum(calls) / len(calls) == pytest.approx(wanted, rel=0.05)


def questions(name: str, size: int, seed: int) -> int:
    """Calls of a heapsort with a perfect comparator on a random order; the models would only be slower."""
    worth, asked = random.Random(seed).sample(range(size), size), 0

    async def best(items: Sequence[int]) -> int:
        nonlocal asked
        asked += 2 * (len(items) - 1) if name == "prp-heap" else 1
        return max(items, key=lambda item: worth[item])

    children = 2 if name == "prp-heap" else 3
    order = asyncio.run(heapsort(range(size), best, children=children, top=min(10, size - 1)))
    assert order[:4] == sorted(range(size), key=lambda item: -worth[item])[:4]
    return asked


def test_a_tournament_asks_at_most_what_its_paths_cost() -> None:
    for size, most in zip(SIZES, (4, 19, 23, 40), strict=True):
        calls = run("tournament", size, 0).calls
        assert most * 0.7 <= calls <= most


def test_noise_costs_quality_and_repetition_buys_it_back() -> None:
    def quality(name: str, **noise: float) -> float:
        return float(sum(run(name, 10, seed, **noise).quality for seed in range(100)) / 100)

    assert quality("prp-heap", error=0.3) < quality("prp-allpair", error=0.3) < 1.0
    assert quality("listwise", bias=0.4) < quality("listwise-shuffled", bias=0.4)


def test_icr_is_refused_by_name_where_the_model_shows_no_attention() -> None:
    with pytest.raises(BadInput, match="AttentionReader"):
        judged(strategy("icr"), "x", KEYS)


def test_a_strategy_of_a_strangers_package_is_a_name(monkeypatch: Any, tmp_path: Any) -> None:
    (tmp_path / "their_judge.py").write_text(
        "from imagescope_agent.judges.base import Judgement\n"
        "async def reverse(task, candidates):\n"
        "    return Judgement(order=[each.id for each in candidates][::-1])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert judged(strategy("their_judge:reverse"), "", KEYS)[0].order == KEYS[::-1]

"""What holds for every strategy: it sorts what it can see, keeps what it cannot, loses nothing, counts its calls."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Judgement, Task
from imagescope_agent.judges.sorting import heapsort, tournament, window_starts
from imagescope_agent.lab.judge_simulator import DirectRole, NoisyJudge, simulate
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings
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
    assert found.order == sorted(KEYS, reverse=contrary)


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
    if strategy(name).__class__.__name__ in ("Icr", "E2Rank"):
        pytest.skip("reads a model's inside; see test_powers")
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
    noisy.relevance = {"0": 0.9, "1": 0.2}
    found, _ = judged(strategy(name), noisy.role(), ["1", "0", "1", "0"])
    assert sorted(found.order) == ["0", "0", "1", "1"]
    same, _ = judged(strategy(name), lambda _: "5", ["b", "a", "c"])
    assert same.order == ["b", "a", "c"]  # equal grades, and to all other questions no answer
    equal = NoisyJudge(relevance=dict.fromkeys(KEYS, 0.7))
    if strategy(name).order_control:
        assert judged(strategy(name), equal.role(), KEYS)[0].order == KEYS


@pytest.mark.parametrize("name", ORDERING)
def test_the_same_picture_twice_is_two_candidates(name: str) -> None:
    shown = [
        Candidate(id=name, image=ImageRef(key=name[0], data=b"\x89PNG")) for name in ("1x", "0x", "1y", "0y")
    ]
    task = Task(query="a red boat", model=truth(["0", "1"]).role())
    order = asyncio.run(strategy(name)(task, shown)).order
    assert sorted(order) == ["0x", "0y", "1x", "1y"]
    if (
        strategy(name).order_control and name != "tsp"
    ):  # a path gains as much from two wins as from one and two ties
        assert order == ["0x", "0y", "1x", "1y"]


REPLIES = [
    "A", "B", "C", "Yes", "No", "7", "11", "-3", "", "[2] > [1]", "3 > 1 > 99 > 3", '{"order": [3, 3, 0, 2]}',
    '{"order": []}', '{"grades": [1, 2]}', '{"grades": [10, 9, 8, 7, 6, 5]}', "</think>B", "[", '{"order": ["x"]}',
    '{"components": ["a"], "evaluations": [{"image": 9, "grade": "good"}], "order": [2, 9, 2]}',
]  # fmt: skip


def any_reply(rng: random.Random) -> str:
    """One of the above, numbers put together in any of the forms that are read, or noise."""
    kind = rng.randrange(4)
    numbers = [rng.randint(-1, 13) for _ in range(rng.randint(0, 12))]
    if kind == 0:
        return rng.choice(REPLIES)
    if kind == 1:
        return json.dumps({rng.choice(["order", "grades"]): numbers})
    if kind == 2:
        return rng.choice([" > ", ", ", "]["]).join(f"[{number}]" for number in numbers)
    return "".join(rng.choice('AB[]{}",>: 019\n') for _ in range(rng.randint(0, 20)))


@pytest.mark.parametrize("name", ORDERING)
def test_whatever_is_replied_nothing_is_lost_doubled_or_invented(name: str) -> None:
    rng, replies = random.Random(name), 0
    while replies < 600:  # 19 strategies: more than 10,000 in all
        keys = [str(number) for number in range(rng.choice([2, 3, 6, 11]))]
        found, asked = judged(
            strategy(name), DirectRole("judge", Scripted(lambda _: any_reply(rng))), keys, seed=replies
        )
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


# calls for k = 5, 10, 20, 50 with a perfect comparator; twice those of a sort where both orders are asked
FIXED = {
    "pointwise": (5, 10, 20, 50),
    "grades": (5, 10, 20, 50),
    "prp-allpair": (20, 90, 380, 2450),
    "prp-sliding": (20, 90, 290, 890),
    "setwise-bubble": (5, 18, 52, 152),
    "listwise": (1, 1, 1, 4),
    "first": (1, 1, 1, 4),
    "grid": (1, 1, 1, 4),
    "groupwise": (2, 2, 4, 10),
    "cotrr": (1, 1, 1, 4),
    "affordable": (20, 90, 380, 2450),
    "bradley-terry": (20, 90, 380, 2450),
    "kemeny": (20, 90, 380, 2450),
    "tsp": (20, 90, 380, 2450),
}
SIZES = (5, 10, 20, 50)


@cache
def run(name: str, count: int, seed: int, **options: Any) -> Any:
    return asyncio.run(simulate(strategy(name), count, seed=seed, **options))


SLOW = ("kemeny", "tsp")  # to put together, above 20


@pytest.mark.parametrize("name", sorted(FIXED))
def test_calls_are_as_promised(name: str) -> None:
    sizes = SIZES[:3] if name in SLOW else SIZES
    assert tuple(run(name, size, 0).calls for size in sizes) == FIXED[name][: len(sizes)]


#: (children or match size, places sorted, comparisons rather than questions) -> the table's row
SORTS: dict[str, tuple[int, tuple[int, ...], bool, tuple[float, ...]]] = {
    "pairwise heap, both orders": (2, (4, 9, 10, 10), True, (10.9, 38.7, 84.3, 165.9)),
    "pairwise heap, the best alone": (2, (1, 1, 1, 1), True, (5.2, 13.0, 30.3, 84.3)),
    "setwise heap, 4 shown": (3, (4, 9, 10, 10), False, (5.4, 15.2, 29.5, 52.8)),
    "setwise heap, 4 shown, the best alone": (3, (1, 1, 1, 1), False, (2.4, 3.8, 9.4, 24)),
    "setwise heap, 10 shown": (9, (4, 9, 10, 10), False, (4, 9, 16.7, 23.6)),
    "tournament": (5, (4, 9, 10, 10), False, (4, 19, 23, 40)),
}


@pytest.mark.parametrize("name", sorted(SORTS))
def test_calls_are_as_promised_on_average(name: str) -> None:
    children, tops, pairwise, promised = SORTS[name]
    for size, top, wanted in zip(SIZES, tops, promised, strict=True):
        calls = [questions(name, children, top, pairwise, size, seed) for seed in range(200)]
        if (name, size) == ("tournament", 10):  # a match of one is not asked about, which the table counts
            assert 0.8 * wanted < sum(calls) / len(calls) < wanted
        else:
            assert sum(calls) / len(calls) == pytest.approx(wanted, rel=0.05)


def questions(name: str, children: int, top: int, pairwise: bool, size: int, seed: int) -> int:
    """Calls of a sort with a perfect comparator on a random order; a model would only be slower."""
    worth, asked = random.Random(seed).sample(range(size), size), 0

    async def best(items: Sequence[int]) -> int:
        nonlocal asked
        asked += len(items) - 1 if pairwise else 1
        return max(items, key=lambda item: worth[item])

    sort = (
        tournament(range(size), best, size=children, top=top)
        if name == "tournament"
        else heapsort(range(size), best, children=children, top=top)
    )
    assert asyncio.run(sort)[:top] == sorted(range(size), key=lambda item: -worth[item])[:top]
    return asked


def test_the_strategies_of_the_table_ask_what_their_sorts_ask() -> None:
    for name, row, orders in (
        ("prp-heap", "pairwise heap, both orders", 2),
        ("setwise-heap", "setwise heap, 4 shown", 1),
        ("setwise-shuffled", "setwise heap, 4 shown", 2),
        ("tournament", "tournament", 1),
    ):
        wanted = SORTS[row][3][2]
        calls = [run(name, 20, seed).calls / orders for seed in range(10)]
        assert sum(calls) / len(calls) == pytest.approx(wanted, rel=0.1)  # ten orders only


def test_what_has_no_row_in_the_table_costs_what_its_method_says() -> None:
    assert [len(window_starts(size, 5, 3)) for size in SIZES] == [1, 3, 6, 16]
    for size in SIZES:
        assert size < run("budgeted", size, 0).calls <= 4 * size
        batches = max(1, size // 10)  # a trial; five trials at least, fifty at most, on one level
        sifted = run("siftrank", size, 0).calls
        assert 5 * batches <= sifted <= 100 * batches
        assert sifted % batches == 0 or size > 10


def test_noise_costs_quality_and_repetition_buys_it_back() -> None:
    def quality(name: str, **noise: float) -> float:
        return float(sum(run(name, 10, seed, **noise).quality for seed in range(100)) / 100)

    assert quality("prp-heap", error=0.3) < quality("prp-allpair", error=0.3) < 1.0
    assert quality("listwise", bias=0.4) < quality("listwise-shuffled", bias=0.4)


REVERSE = (
    "from imagescope_agent.judges.base import Judgement\n"
    "async def reverse(task, candidates):\n"
    '    """From the last to the first."""\n'
    "    return Judgement(order=[each.id for each in candidates][::-1])\n"
)


def test_a_strategy_of_a_strangers_package_is_a_name(monkeypatch: Any, tmp_path: Any, world: Any) -> None:
    (tmp_path / "their_judge.py").write_text(REVERSE)
    monkeypatch.syspath_prepend(tmp_path)
    assert judged(strategy("their_judge:reverse"), "", KEYS)[0].order == KEYS[::-1]
    for graph in ("imagescope", "cotrr"):
        context = Settings(judge="their_judge:reverse", alpha=3)
        built = load_graph(graph)(world.services())
        state = asyncio.run(built.ainvoke({"query": "a red square"}, context=context))
        most = 3 if graph == "imagescope" else 10
        assert state["ranking"][:most] == state["ranking_retrieve"][:most][::-1]


def test_adding_a_strategy_is_one_file_and_one_line(monkeypatch: Any, tmp_path: Any, capsys: Any) -> None:
    from imagescope_agent.cli import main

    (tmp_path / "one_file.py").write_text('"""Backwards."""\n' + REVERSE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(JUDGES, "backwards", "one_file:reverse")
    assert judged(strategy("backwards"), "", KEYS)[0].order == KEYS[::-1]
    assert main(["judges"]) == 0
    listed = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(listed) == set(JUDGES)
    assert "Backwards." in listed["backwards"]

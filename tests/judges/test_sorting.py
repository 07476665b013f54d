"""Sorting against slow twins: whatever the comparator says, the same questions lead to the same order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from itertools import chain

import pytest

from imagescope_agent.judges.sorting import bubblesort, heapsort, one_by_one, tournament

Pick = Callable[[frozenset[int]], int]


class Opinion:
    """Decides every set of items once and for all, at random: as inconsistent as can be."""

    def __init__(self, seed: int, *, truthful: bool) -> None:
        self.seed, self.truthful, self.asked = seed, truthful, 0

    def __call__(self, items: frozenset[int]) -> int:
        self.asked += 1
        if self.truthful:
            return min(items, key=lambda item: random.Random(f"{self.seed} {item}").random())
        return random.Random(f"{self.seed} {sorted(items)}").choice(sorted(items))

    async def best(self, items: Sequence[int]) -> int:
        return self(frozenset(items))


def slow_heap(items: Sequence[int], pick: Pick, children: int, top: int) -> list[int]:
    """A heap as a textbook draws it: nodes from 1, the children of node i are c(i-1)+2 .. ci+1."""
    tree = dict(enumerate(items, start=1))

    def settle(node: int) -> None:
        below = [kid for kid in range(children * (node - 1) + 2, children * node + 2) if kid in tree]
        if not below:
            return
        winner = pick(frozenset(tree[place] for place in [node, *below]))
        for kid in below:
            if tree[kid] == winner:
                tree[kid], tree[node] = tree[node], tree[kid]
                settle(kid)
                return

    for node in range(len(items), 0, -1):
        settle(node)
    found: list[int] = []
    while tree and len(found) < top:
        found.append(tree[1])
        last = tree.pop(max(tree))
        if tree:
            tree[1] = last
            if len(found) < top:
                settle(1)
    return found + sorted(set(items) - set(found))


def slow_tournament(items: Sequence[int], pick: Pick, size: int, top: int) -> list[int]:
    """Every winner by a whole new tournament; who won before stays away."""
    found: list[int] = []
    while len(found) < min(top, len(items)):
        rounds: list[list[int]] = [[item] if item not in found else [] for item in items]
        while len(rounds) > 1:
            matches = [[*chain(*rounds[at : at + size])] for at in range(0, len(rounds), size)]
            rounds = [[pick(frozenset(match))] if len(match) > 1 else match for match in matches]
        found += rounds[0]
    return found + sorted(set(items) - set(found))


def slow_bubble(items: Sequence[int], pick: Pick, children: int, top: int) -> list[int]:
    """Passes over what is not placed yet, written down one window at a time."""
    left, found = list(items), list[int]()
    while len(found) < top and len(left) > 1:
        behind: list[int] = []
        while len(left) > 1:
            window, left = left[-children - 1 :], left[: -children - 1]
            winner = pick(frozenset(window))
            behind = [*(each for each in window if each != winner), *behind]
            left.append(winner)
        found += left
        left = behind
    return found + left


CASES = [(count, seed) for count in (1, 2, 3, 5, 10, 17) for seed in range(8)]


@pytest.mark.parametrize("truthful", [True, False])
@pytest.mark.parametrize("children", [1, 2, 3, 9])
@pytest.mark.parametrize("top", [1, 4, 20])
def test_the_heap_is_that_of_the_slow_twin(truthful: bool, children: int, top: int) -> None:
    for count, seed in CASES:
        ours, twin = (Opinion(seed, truthful=truthful) for _ in range(2))
        order = asyncio.run(heapsort(range(count), ours.best, children=children, top=top))
        assert order == slow_heap(range(count), twin, children, top)
        assert ours.asked == twin.asked
        if truthful:
            everyone = sorted(range(count), key=lambda item: random.Random(f"{seed} {item}").random())
            assert order[:top] == everyone[:top]


@pytest.mark.parametrize("truthful", [True, False])
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("top", [1, 4, 20])
def test_the_tournament_is_that_of_the_slow_twin_with_fewer_questions(
    truthful: bool, size: int, top: int
) -> None:
    for count, seed in CASES:
        ours, twin = (Opinion(seed, truthful=truthful) for _ in range(2))
        order = asyncio.run(tournament(range(count), ours.best, size=size, top=top))
        assert order == slow_tournament(range(count), twin, size, top)
        assert ours.asked <= twin.asked


@pytest.mark.parametrize("truthful", [True, False])
@pytest.mark.parametrize("children", [1, 3])
@pytest.mark.parametrize("top", [1, 4, 20])
def test_bubble_passes_are_those_of_the_slow_twin(truthful: bool, children: int, top: int) -> None:
    for count, seed in CASES:
        ours, twin = (Opinion(seed, truthful=truthful) for _ in range(2))
        order = asyncio.run(bubblesort(range(count), ours.best, children=children, top=top))
        assert order == slow_bubble(range(count), twin, children, top)
        assert ours.asked == twin.asked


def test_the_best_of_several_by_pairs() -> None:
    async def better(first: int, second: int) -> int:
        return min(first, second)

    async def run() -> int:
        return await one_by_one(better)([3, 1, 2])

    assert asyncio.run(run()) == 1

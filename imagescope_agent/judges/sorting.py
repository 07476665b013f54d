"""Sorting with an asynchronous comparator: heap, bubble, tournament, sliding windows; unsorted items stay in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

Best = Callable[[Sequence[int]], Awaitable[int]]
Better = Callable[[int, int], Awaitable[int]]
Reorder = Callable[[list[int]], Awaitable[list[int]]]


async def heapsort(items: Sequence[int], best: Best, *, children: int, top: int) -> list[int]:
    """The `top` best by a heap whose nodes have up to `children` children; one comparison a level.

    The other items follow in first-stage order.
    """
    heap = list(items)

    async def sink(node: int, size: int) -> None:
        while family := list(range(children * node + 1, min(children * (node + 1) + 1, size))):
            winner = await best([heap[place] for place in (node, *family)])
            place = heap.index(winner)
            if place == node:
                return
            heap[node], heap[place] = heap[place], heap[node]
            node = place

    for node in range(len(heap) // children, -1, -1):
        await sink(node, len(heap))
    found: list[int] = []
    for size in range(len(heap) - 1, -1, -1):
        heap[0], heap[size] = heap[size], heap[0]
        found.append(heap.pop())
        if len(found) == top:
            break
        await sink(0, size)
    return found + sorted(heap)


async def bubblesort(items: Sequence[int], best: Best, *, children: int, top: int) -> list[int]:
    """`top` passes from the bottom up; of every window of children + 1 items the best moves to its front."""
    order = list(items)
    for done in range(min(top, len(order) - 1)):
        # windows overlap in one place, the front of the lower one: the best of all comes through
        ends = list(range(len(order), done + 1, -children))
        for end in ends:
            start = max(done, end - 1 - children)
            winner = await best(order[start:end])
            order.remove(winner)
            order.insert(start, winner)
    return order


def one_by_one(better: Better) -> Best:
    """A best-of-several comparator made from a pairwise one."""

    async def best(items: Sequence[int]) -> int:
        winner = items[0]
        for other in items[1:]:
            winner = await better(winner, other)
        return winner

    return best


async def tournament(items: Sequence[int], best: Best, *, size: int, top: int) -> list[int]:
    """The `top` best by matches of `size`; after each winner only its own path is played again (ListT5).

    The other items follow in first-stage order.
    """
    alive = set(items)
    winners: dict[tuple[int, int], int | None] = {}

    async def winner(level: int, block: int) -> int | None:
        if (level, block) not in winners:
            if level == 0:
                players: Sequence[int | None] = items[block * size : (block + 1) * size]
            else:
                last = -(-len(items) // size**level)
                below = range(block * size, min((block + 1) * size, last))
                players = await asyncio.gather(*(winner(level - 1, each) for each in below))
            present = [player for player in players if player in alive and player is not None]
            winners[level, block] = await best(present) if len(present) > 1 else next(iter(present), None)
        return winners[level, block]

    height = next(level for level in count() if size ** (level + 1) >= len(items))
    found: list[int] = []
    while len(found) < min(top, len(items)):
        champion = await winner(height, 0)
        assert champion is not None  # some item is alive, and every match has a winner
        found.append(champion)
        alive.remove(champion)
        place = items.index(champion)
        for level in range(height + 1):
            winners.pop((level, place // size ** (level + 1)), None)
    return found + sorted(alive)


def window_starts(total: int, window: int, stride: int) -> list[int]:
    """Where windows begin, from the bottom to the top; together they hold every place.

    Raises:
        ValueError: window or stride is below 1.
    """
    if window < 1 or stride < 1:
        raise ValueError(f"window is {window} and stride {stride}; both must be at least 1")
    if total == 0:
        return []
    starts = list(range(total - window, 0, -min(stride, window)))
    return [*starts, 0]


async def slide(items: Sequence[int], reorder: Reorder, *, window: int, stride: int) -> list[int]:
    """Put windows in order from the bottom to the top, so that the best rise through the overlaps (RankGPT)."""
    order = list(items)
    for start in window_starts(len(order), window, stride):
        order[start : start + window] = await reorder(order[start : start + window])
    return order

"""Rank aggregation: scores, pairwise preferences or several rankings to one; ties keep first-stage order.

A preference matrix holds w[i][j] = P(i over j) with w[i][j] + w[j][i] = 1; 0.5 is a tie or unknown. Items are
numbers in first-stage order. All functions are pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, pairwise

import numpy as np
from networkx.utils import UnionFind

Matrix = Sequence[Sequence[float]]

EXACT = 12  # items up to which Kemeny's order and the best path are exact: 2^n * n^2 steps


def ranked(scores: Sequence[float]) -> list[int]:
    """Items by falling score, ties in first-stage order."""
    return sorted(range(len(scores)), key=lambda item: (-round(scores[item], 9), item))


def placed(items: Sequence[int], scores: Mapping[int, float]) -> list[int]:
    """The items with a score sorted among the places they hold; the others keep theirs."""
    best = iter(sorted((i for i in items if i in scores), key=lambda i: (-round(scores[i], 9), i)))
    return [next(best) if item in scores else item for item in items]


def matrix(count: int, known: Mapping[tuple[int, int], float]) -> list[list[float]]:
    """The preference matrix of what is known: {(i, j): P(i over j)}."""
    table = [[0.5] * count for _ in range(count)]
    for (i, j), value in known.items():
        table[i][j], table[j][i] = value, 1.0 - value
    return table


def mean(rows: Iterable[Mapping[int, float]]) -> dict[int, float]:
    """The mean score of each item over the rows that hold it."""
    sums: dict[int, list[float]] = {}
    for row in rows:
        for item, value in row.items():
            sums.setdefault(item, []).append(value)
    return {item: sum(values) / len(values) for item, values in sums.items()}


def copeland(w: Matrix) -> list[int]:
    """By wins, a tie counting half."""
    return ranked([sum((x > 0.5) + 0.5 * (x == 0.5) for x in row) for row in w])


def borda(w: Matrix) -> list[int]:
    """By the sum of preferences."""
    return ranked([sum(row) for row in w])


def borda_of_orders(orders: Sequence[Sequence[int]]) -> dict[int, float]:
    """Mean share of the others that an item stands before, 0 to 1, over the orders that hold it."""
    return mean(
        {item: 1 - place / max(1, len(order) - 1) for place, item in enumerate(order)} for order in orders
    )


def bradley_terry(w: Matrix, *, prior: float = 0.1, rounds: int = 1000) -> list[int]:
    """By strength in the model P(i over j) = s_i / (s_i + s_j), fitted by maximum likelihood."""
    return ranked([float(x) for x in np.log(strengths(w, prior=prior, rounds=rounds))])


def strengths(w: Matrix, *, prior: float = 0.1, rounds: int = 1000) -> np.ndarray:
    """Bradley-Terry strengths, geometric mean 1, by minorisation-maximisation (Hunter 2004).

    `prior` ties against every other item are added, so that an item that won everything stays finite.
    """
    count = len(w)
    wins = np.asarray(w, dtype=float).reshape(count, count) + prior / 2
    np.fill_diagonal(wins, 0.0)
    games = wins + wins.T
    s = np.ones(count)
    for _ in range(rounds if count > 1 else 0):
        new = wins.sum(axis=1) / (games / (s[:, None] + s[None, :])).sum(axis=1)
        new /= np.exp(np.log(new).mean())
        done = np.abs(new - s).max() < 1e-12
        s = new
        if done:
            break
    return s


def kemeny(w: Matrix) -> list[int]:
    """The order that disagrees least with the preferences: exact up to `EXACT` items, above by local search."""
    count = len(w)
    if count > EXACT:
        return _improve(borda(w), lambda order: sum(w[a][b] for a, b in combinations(order, 2)))
    # best[mask]: least disagreement of ordering the items of mask; the first of them is remembered
    best, first = [0.0] * (1 << count), [0] * (1 << count)
    for mask in range(1, 1 << count):
        members = [i for i in range(count) if mask >> i & 1]
        costs = [best[mask ^ 1 << i] + sum(w[j][i] for j in members if j != i) for i in members]
        best[mask] = min(costs)
        first[mask] = next(i for i, cost in zip(members, costs, strict=True) if cost <= best[mask] + 1e-9)
    return _unroll((1 << count) - 1, lambda mask, _: first[mask])


def best_path(w: Matrix) -> list[int]:
    """The path through all items with the largest sum of w[item][next] (TSPRank, arXiv 2411.12064).

    Exact up to `EXACT` items (Held-Karp); above, the better of the greedy path and Copeland's order, improved
    by moving single items.
    """
    count = len(w)
    if count > EXACT:
        starts = [_improve(start, lambda order: path_weight(w, order)) for start in (copeland(w), _greedy(w))]
        return max(starts, key=lambda order: round(path_weight(w, order), 9))
    # best[mask][i]: largest weight of a path over the items of mask that begins at i
    best = [[0.0] * count for _ in range(1 << count)]
    for mask in range(1, 1 << count):
        for i in (i for i in range(count) if mask >> i & 1):
            rest = mask ^ 1 << i
            if rest:
                best[mask][i] = max(w[i][j] + best[rest][j] for j in range(count) if rest >> j & 1)

    def pick(mask: int, last: int | None) -> int:
        value = {
            i: best[mask][i] + (0.0 if last is None else w[last][i]) for i in range(count) if mask >> i & 1
        }
        most = max(value.values())
        return min(i for i in value if value[i] >= most - 1e-9)

    return _unroll((1 << count) - 1, pick)


def path_weight(w: Matrix, order: Sequence[int]) -> float:
    """The sum of w[item][next] along an order."""
    return sum(w[a][b] for a, b in pairwise(order))


def _unroll(mask: int, pick: Callable[[int, int | None], int]) -> list[int]:
    order: list[int] = []
    while mask:
        order.append(pick(mask, order[-1] if order else None))
        mask ^= 1 << order[-1]
    return order


def _greedy(w: Matrix) -> list[int]:
    """The heaviest edges that still make one path; of equal ones, those between neighbours in Copeland's order."""
    place = {item: number for number, item in enumerate(copeland(w))}
    edges = [(i, j) for i in place for j in place if i != j]
    edges.sort(key=lambda e: (-round(w[e[0]][e[1]], 9), abs(place[e[0]] - place[e[1]]), place[e[0]]))
    after: dict[int, int] = {}
    taken: set[int] = set()
    joined = UnionFind(place)
    for i, j in edges:
        if i not in after and j not in taken and joined[i] != joined[j]:
            after[i] = j
            taken.add(j)
            joined.union(i, j)
    order = [next(item for item in place if item not in taken)]
    while order[-1] in after:
        order.append(after[order[-1]])
    return order


def _improve(order: list[int], value: Callable[[list[int]], float]) -> list[int]:
    """Move single items to better places until none is left that helps."""
    best, reached = list(order), value(order)
    moved = True
    while moved:
        moved = False
        for item in list(best):
            rest = [other for other in best if other != item]
            for place in range(len(best)):
                tried = [*rest[:place], item, *rest[place:]]
                if (now := value(tried)) > reached + 1e-9:
                    best, reached, moved = tried, now, True
    return best

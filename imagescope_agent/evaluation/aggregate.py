"""Score rankings: values per query by the data set's protocol, and the table of their means.

Our own runs and run files of other systems are scored by the same functions.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, count
from typing import Any

import numpy as np

from imagescope_agent.evaluation import metrics
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery
from imagescope_agent.evaluation.metrics import Bools, Floats, Ints

CUTOFFS = (1, 5, 10)
#: Measures that are no proportions: reported as they are instead of in per cent; lower is better.
NOT_PERCENT = frozenset({"BRI"})
DIALOG_HITS = "Hits"


@dataclass(frozen=True, kw_only=True)
class Relevance:
    """Where the relevant images stand in each ranking.

    `rel`, `target` and `members` are (n_queries, depth) as in `metrics`: for all relevant images, for the one
    target of protocols that name one, and for CIRR's group. `rank` (n_queries,) is the first target's 1-based
    rank, nan = not ranked; `last` the last relevant image's, nan = one is not ranked. `negative` (n_queries, depth) are
    explicit negatives; `spared` is `rel` of the rankings without them.
    """

    rel: Bools
    target: Bools
    members: Bools
    n_relevant: Ints
    rank: Floats
    last: Floats
    negative: Bools
    spared: Bools
    n_negative: Ints


@dataclass(frozen=True, kw_only=True)
class SubsetScores:
    """Scores of the n queries or dialogs of a subset: values (n, n_measures) and weights (n,).

    `units` names the dialog, or the query itself, that each belongs to. The weights have mean 1; the subset's score is
    the mean of weight * value.
    """

    units: list[str]
    measures: list[str]
    values: Floats
    weights: Floats

    def means(self) -> dict[str, float]:
        """Measure -> weighted mean, in per cent except for NOT_PERCENT measures."""
        sums = (self.values * self.weights[:, None]).mean(axis=0)
        return {
            name: float(value) * (1.0 if name in NOT_PERCENT else 100.0)
            for name, value in zip(self.measures, sums, strict=True)
        }


#: subset -> its scores: over queries and, for dialogs, a second entry over dialogs.
ScoreTable = dict[str, list[SubsetScores]]
Measure = Callable[[Relevance, int], Floats]

MEASURES: dict[str, Measure] = {
    "R": lambda relevance, k: metrics.hit_at_k(relevance.target, k),
    "recall": lambda relevance, k: metrics.recall_at_k(relevance.rel, relevance.n_relevant, k),
    "P": lambda relevance, k: metrics.precision_at_k(relevance.rel, k),
    "mAP": lambda relevance, k: metrics.average_precision_at_k(relevance.rel, relevance.n_relevant, k),
    "nDCG": lambda relevance, k: metrics.ndcg_at_k(relevance.rel, relevance.n_relevant, k),
    "R_subset": lambda relevance, k: metrics.hit_at_k(relevance.members, k),
    "NegRecall": lambda relevance, k: metrics.negative_recall_at_k(
        relevance.negative, relevance.n_negative, k
    ),
    "NegAbove": lambda relevance, k: metrics.negative_above(relevance.negative, relevance.last, k),
    "mAP_noNeg": lambda relevance, k: metrics.average_precision_at_k(
        relevance.spared, relevance.n_relevant, k
    ),
    "MRR": lambda relevance, k: metrics.reciprocal_rank(relevance.rank),
}


def parse_measure(measure: str) -> tuple[str, int]:
    """The measure and its cutoff: "R@5" is ("R", 5); a name without a cutoff has 0."""
    match = re.fullmatch(r"(\w+?)(?:@(\d+))?", measure)
    if match is None or match[1] not in MEASURES:
        raise ValueError(f"unknown measure {measure!r}")
    return match[1], int(match[2] or 0)


def drop_reference(query: BenchmarkQuery, ranking: Sequence[str], benchmark: Benchmark) -> Sequence[str]:
    """The ranking without the query's reference image, where the protocol removes it."""
    if benchmark.drop_reference and query.shown:
        return [image for image in ranking if image not in query.shown]
    return ranking


def relevance_of(
    queries: Sequence[BenchmarkQuery], rankings: Sequence[Sequence[str]], depth: int
) -> Relevance:
    """Look up the relevant images in rankings without reference, down to rank `depth`."""
    rel: list[tuple[int, int]] = []
    target: list[tuple[int, int]] = []
    members: list[tuple[int, int]] = []
    negative: list[tuple[int, int]] = []
    spared: list[tuple[int, int]] = []
    rank, last = np.full(len(queries), np.nan), np.full(len(queries), np.nan)
    for row, (query, ranking) in enumerate(zip(queries, rankings, strict=True)):
        relevant = frozenset(query.relevant)
        hits = list(compress(count(), map(relevant.__contains__, ranking)))  # 0-based ranks
        target_hits = [place for place in hits if ranking[place] == query.target] if query.target else hits
        rel += [(row, place) for place in hits if place < depth]
        target += [(row, place) for place in target_hits if place < depth]
        rank[row] = target_hits[0] + 1 if target_hits else math.nan
        last[row] = hits[-1] + 1 if relevant and len(hits) == len(relevant) else math.nan
        against = frozenset(query.negatives)
        wrong = list(compress(count(), map(against.__contains__, ranking))) if against else []
        negative += [(row, place) for place in wrong if place < depth]
        moved = ((place - bisect_left(wrong, place)) for place in hits)
        spared += [(row, place) for place in moved if place < depth]
        if query.members:
            targets = {ranking[place] for place in target_hits}
            group = [image in targets for image in ranking if image in query.members][:depth]
            members += [(row, place) for place, hit in enumerate(group) if hit]
    shape = (len(queries), max(depth, 1))
    return Relevance(
        rel=_true_at(shape, rel),
        target=_true_at(shape, target),
        members=_true_at(shape, members),
        n_relevant=np.array([len(set(query.relevant)) for query in queries], dtype=np.int64),
        rank=rank,
        last=last,
        negative=_true_at(shape, negative),
        spared=_true_at(shape, spared),
        n_negative=np.array([len(set(query.negatives)) for query in queries], dtype=np.int64),
    )


def _true_at(shape: tuple[int, int], places: Sequence[tuple[int, int]]) -> Bools:
    """A boolean matrix that is True at these (row, column) places."""
    grid = np.zeros(shape, dtype=np.bool_)
    grid[tuple(np.array(places, dtype=np.intp).reshape(-1, 2).T)] = True
    return grid


def score_rankings(
    benchmark: Benchmark, queries: Sequence[BenchmarkQuery], rankings: Sequence[Sequence[str]]
) -> dict[str, Floats]:
    """Per-query values of every measure of the data set, plus "rank" (1-based, nan = the target is not
    ranked).

    Args:
        benchmark: gives measures and rules.
        queries: those that were answered.
        rankings: image ids, best first, one list a query.

    Returns:
        measure -> (n_queries,), shares in [0, 1].
    """
    named = [(measure, *parse_measure(measure)) for measure in benchmark.measures]
    depth = max((k for _, _, k in named), default=0)
    cleaned = [
        drop_reference(query, ranking, benchmark) for query, ranking in zip(queries, rankings, strict=True)
    ]
    relevance = relevance_of(queries, cleaned, depth)
    values = {measure: MEASURES[name](relevance, k) for measure, name, k in named}
    return {**values, "rank": relevance.rank}


def tabulate(
    queries: Sequence[BenchmarkQuery],
    values: Mapping[str, Floats],
    *,
    macro: Sequence[str] = (),
    worst_rank: int = 0,
) -> ScoreTable:
    """Group per-query values by subset: "all", then every subset in order of appearance.

    Args:
        queries: the answered queries.
        values: as `score_rankings` returns them.
        macro: subsets whose unweighted mean is "all".
        worst_rank: the gallery's size: a target that a cut-off ranking does not hold counts as ranked there
            (for BRI).

    Returns:
        subset -> scores. For dialogs the scores over queries also hold cumulative Hits@k, and "all" has scores over
        dialogs (BRI).
    """
    names = [name for name in values if name != "rank"]
    matrix = np.stack([values[name] for name in names], axis=1) if names else np.zeros((len(queries), 0))
    if any(query.group for query in queries):
        matrix = np.concatenate([matrix, _cumulative_hits(queries, values["rank"])], axis=1)
        names = names + [f"{DIALOG_HITS}@{k}" for k in CUTOFFS]
    where: dict[str, list[int]] = {"all": list(range(len(queries)))}
    for row, query in enumerate(queries):
        for subset in query.subsets:
            where.setdefault(subset, []).append(row)
    table: ScoreTable = {}
    for subset, rows in where.items():
        weights = _macro_weights(queries, macro) if subset == "all" and macro else np.ones(len(rows))
        units = [queries[row].unit for row in rows]
        table[subset] = [SubsetScores(units=units, measures=names, values=matrix[rows], weights=weights)]
    table["all"] += _dialog_bri(queries, values["rank"], worst_rank)
    return table


def means(table: ScoreTable) -> dict[str, dict[str, float]]:
    """Subset -> measure -> mean, as metrics.json holds it; empty subsets are left out."""
    return {
        subset: {name: value for rows in several if rows.units for name, value in rows.means().items()}
        for subset, several in table.items()
    }


def _macro_weights(queries: Sequence[BenchmarkQuery], macro: Sequence[str]) -> Floats:
    counts = {subset: sum(subset in query.subsets for query in queries) for subset in macro}
    present = [subset for subset in macro if counts[subset]]
    weights = np.zeros(len(queries))
    for row, query in enumerate(queries):
        subset = next(name for name in present if name in query.subsets)
        weights[row] = len(queries) / (len(present) * counts[subset])
    return weights


def _cumulative_hits(queries: Sequence[BenchmarkQuery], rank: Floats) -> Floats:
    """Cumulative Hits@k of every query in its own round, (n_queries, len(CUTOFFS))."""
    grid, rows = _rank_grid(queries, rank)
    hits = np.stack([metrics.hits_cumulative(grid, k) for k in CUTOFFS], axis=2)
    return np.stack([hits[row, query.turn] for query, row in zip(queries, rows, strict=True)])


def _dialog_bri(queries: Sequence[BenchmarkQuery], rank: Floats, worst_rank: int) -> list[SubsetScores]:
    """BRI of every dialog of which all rounds were answered."""
    if not any(query.group for query in queries):
        return []
    grid, _ = _rank_grid(queries, np.where(np.isnan(rank), float(max(worst_rank, 1)), rank))
    whole = np.flatnonzero(~np.isnan(grid).any(axis=1))
    if grid.shape[1] < 2 or not whole.size:
        return []
    units = list(dict.fromkeys(query.unit for query in queries))
    kept = [units[row] for row in whole]
    values = metrics.bri(grid[whole])[:, None]
    return [SubsetScores(units=kept, measures=["BRI"], values=values, weights=np.ones(len(kept)))]


def _rank_grid(queries: Sequence[BenchmarkQuery], rank: Floats) -> tuple[Floats, list[int]]:
    """Ranks as (n_dialogs, n_rounds), nan where a round is missing, and each query's row in it."""
    index: dict[str, int] = {}
    rows = [index.setdefault(query.unit, len(index)) for query in queries]
    grid = np.full((len(index), 1 + max((query.turn for query in queries), default=0)), np.nan)
    for row, query, value in zip(rows, queries, rank, strict=True):
        grid[row, query.turn] = value
    return grid, rows


def as_record(values: Mapping[str, Floats], row: int) -> dict[str, Any]:
    """One query's values as plain numbers, as per_query.jsonl keeps them."""
    rank = values["rank"][row]
    record: dict[str, Any] = {name: float(value[row]) for name, value in values.items() if name != "rank"}
    return {**record, "rank": None if np.isnan(rank) else int(rank)}


def from_records(records: Iterable[Mapping[str, Any]], measures: Sequence[str]) -> dict[str, Floats]:
    """The inverse of `as_record` over many queries."""
    listed = list(records)
    values = {name: np.array([record[name] for record in listed], dtype=np.float64) for name in measures}
    values["rank"] = np.array(
        [math.nan if r["rank"] is None else r["rank"] for r in listed], dtype=np.float64
    )
    return values

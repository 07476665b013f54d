"""Retrieval metrics in plain numpy.

Everything here takes arrays over queries. `rel` is (n_queries, depth), bool, in ranked order, best first:
whether the image at that rank is relevant; ranks beyond a shorter ranking are False. `n_relevant` is
(n_queries,), how many relevant images exist. All metrics are returned per query, (n_queries,) float64 in [0,
1], so that they can be paired; a table shows their mean.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def hit_at_k(rel: Bools, k: int) -> Floats:
    """R@k as this field reports it: 1 if any of the first k images is relevant, else 0.

    hit@k = max_{i<=k} rel_i. With a single relevant image it is also the recall.
    """
    return np.asarray(rel[:, :k].any(axis=1), dtype=np.float64)


def recall_at_k(rel: Bools, n_relevant: Ints, k: int) -> Floats:
    """recall@k = sum_{i<=k} rel_i / R, 0 where R = 0."""
    return _divide(rel[:, :k].sum(axis=1, dtype=np.float64), n_relevant)


def precision_at_k(rel: Bools, k: int) -> Floats:
    """P@k = sum_{i<=k} rel_i / k, also where fewer than k images were ranked."""
    found: Floats = rel[:, :k].sum(axis=1, dtype=np.float64)
    return found / k


def average_precision_at_k(rel: Bools, n_relevant: Ints, k: int) -> Floats:
    """AP@k with CIRCO's denominator: sum_{i<=k} P@i rel_i / min(R, k), 0 where R = 0.

    Dividing by R instead, as some papers write it, gives less wherever R > k (Baldrati et al., arXiv
    2303.15247, official `evaluation.py`).
    """
    head = rel[:, :k]
    precision = np.cumsum(head, axis=1) / np.arange(1, head.shape[1] + 1)
    return _divide((precision * head).sum(axis=1), np.minimum(n_relevant, k))


def reciprocal_rank(rank: Floats) -> Floats:
    """RR = 1 / rank of the first relevant image, 0 when none is ranked; its mean is MRR.

    Args:
        rank: (n_queries,), 1-based; nan = not ranked.
    """
    return np.nan_to_num(1.0 / rank)


def ndcg_at_k(rel: Bools, n_relevant: Ints, k: int) -> Floats:
    """nDCG@k with binary gains: sum_{i<=k} rel_i / log2(i+1), over the same sum of an ideal ranking; 0 where
    R = 0.

    Jarvelin and Kekalainen, 2002; the logarithmic form that trec_eval uses.
    """
    discounts = 1.0 / np.log2(np.arange(2, k + 2))
    head = rel[:, :k]
    ideal = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(n_relevant, k)]
    return _divide(head @ discounts[: head.shape[1]], ideal)


def hits_cumulative(ranks: Floats, k: int) -> Floats:
    """Hits@k after every round of a dialog: 1 if the target was among the first k in this round or any
    before.

    Args:
        ranks: (n_dialogs, n_rounds), 1-based rank of the target; nan = that round gave no answer.
        k: how many images the user looks at in a round.

    Returns:
        (n_dialogs, n_rounds); hits_t = 1 if min_{s<=t} rank_s <= k. Once hit stays hit (ChatIR, arXiv
        2305.20062).
    """
    return (np.fmin.accumulate(ranks, axis=1) <= k).astype(np.float64)


def bri(ranks: Floats) -> Floats:
    """Best log Rank Integral of every dialog; lower is better (PlugIR, arXiv 2406.03411).

    With best_t = min_{s<=t} rank_s (1-based) and T = n_rounds - 1:
    BRI = (1/T) sum_{t=0}^{T-1} [ln best_t + ln best_{t+1}] / 2, the area under the best rank by the trapezoid
    rule.

    Args:
        ranks: (n_dialogs, n_rounds), 1-based; n_rounds >= 2, no nan.

    Returns:
        (n_dialogs,), natural logarithm.
    """
    logs = np.log(np.minimum.accumulate(ranks, axis=1))
    areas: Floats = ((logs[:, :-1] + logs[:, 1:]) / 2.0).mean(axis=1)
    return areas


def negative_recall_at_k(negative: Bools, n_negative: Ints, k: int) -> Floats:
    """NegRecall@k = explicit negatives among the first k / min(how many there are, k), 0 where there are none.

    Lower is better; the denominator is that of PinPoint's evaluation (arXiv 2603.04598).
    """
    return _divide(negative[:, :k].sum(axis=1, dtype=np.float64), np.minimum(n_negative, k))


def negative_above(negative: Bools, last: Floats, k: int) -> Floats:
    """1 where an explicit negative is among the first k and above the last relevant image, else 0; lower is better.

    Args:
        negative: (n_queries, depth), whether the image at that rank is a negative.
        last: (n_queries,), 1-based rank of the last relevant image; nan = one is not ranked, so that all are above it.
        k: how many ranks are looked at.
    """
    ranks = np.arange(1, negative.shape[1] + 1)[None, :k]
    before = ranks < np.where(np.isnan(last), np.inf, last)[:, None]
    return np.asarray((negative[:, :k] & before).any(axis=1), dtype=np.float64)


def relative_spread(rates: npt.ArrayLike) -> float:
    """(max - min) / mean of a measure's means over several wordings of the same wishes; 0 where all are 0."""
    found = np.asarray(rates, dtype=np.float64)
    return float((found.max() - found.min()) / found.mean()) if found.size and found.mean() > 0 else 0.0


def _divide(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    top, bottom = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)

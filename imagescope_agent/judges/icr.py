"""In-context reranking (ICR, arXiv 2410.02642) by the attention from the query to each image; two forward passes.

Of a model whose heads were chosen (`imagescope train heads`) the chosen ones count alone, else all; and with each
image the tokens after it, where they were chosen for those too. Where they are weighed, an image's score is its
log-odds, and the first candidate has a head start: what the first stage found first gives way to no slight lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from imagescope_agent.judges.aggregation import placed
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy
from imagescope_agent.mllms.protocols import Attention, AttentionReader
from imagescope_agent.mllms.role import Request

NOTHING = "N/A"  # the query that says nothing: what is attended to without a reason
HEAD_START = 1.0  # log-odds of the first candidate, by held-out scenes in a random and in a good order


@dataclass(frozen=True, kw_only=True)
class Icr(Strategy):
    """Ranks by attention in one listwise prompt with the query last; decodes nothing."""

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By attention beyond that of an empty query; two calls, or none where the budget forbids two."""
        requests = icr_requests(session)
        read = await session.attend(requests)
        if read is None:
            return list(session.items), {}
        # the pictures' last ones: the reference comes before the candidates
        (empty, without), (real, following) = (shown(attention, len(session.items)) for attention in read)
        log_odds = all(attention.log_odds for attention in read)
        if any(len(one) != len(other) for one, other in zip(empty, real, strict=True)):
            session.add_note("unreadable", "the model read the same pictures as different numbers of tokens")
            return list(session.items), {}
        beyond = _summed if log_odds else calibrated
        scores = {
            item: beyond(real[item], empty[item]) + following[item] - without[item] for item in session.items
        }
        return _with_head_start(session, scores) if log_odds else (placed(session.items, scores), scores)


def shown(attention: Attention, count: int) -> tuple[list[list[float]], list[float]]:
    """Of the last `count` images: attention to each token, and to what follows it, 0 where that does not count."""
    pictures = attention.pictures if attention.chosen is None else attention.chosen
    return pictures[-count:], (attention.after or [0.0] * len(pictures))[-count:]


def calibrated(real: Sequence[float], empty: Sequence[float]) -> float:
    """The sum over a picture's tokens of real minus empty attention, without tokens two deviations too low."""
    values = np.asarray(real, dtype=float) - np.asarray(empty, dtype=float)
    kept = values[values >= values.mean() - 2 * values.std()] if values.size else values
    return float(kept.sum())


def _summed(real: Sequence[float], empty: Sequence[float]) -> float:
    """The sum of all, as heads are weighed by it."""
    return float(sum(real) - sum(empty))


def icr_requests(session: JudgeSession) -> tuple[Request, Request]:
    """The listwise question, asked about nothing, then about what is wanted."""
    empty = replace(session.task, query=NOTHING, understood=NOTHING)
    asked = (JudgeSession(empty, session.candidates), session)
    about_nothing, wanted = (each.numbered("order", session.items) for each in asked)
    return about_nothing, wanted


def _with_head_start(session: JudgeSession, scores: dict[int, float]) -> RankedItems:
    """The order by scores with the first candidate's raised; a note where that alone keeps it first."""
    first, *others = session.items
    started = {**scores, first: scores[first] + HEAD_START}
    best = max(started[item] for item in others)
    if scores[first] < best <= started[first]:
        session.add_note("tie", f"no candidate leads the first by {HEAD_START} in log-odds; it stays first")
    return placed(session.items, started), started


judge = Icr(
    summary="by the attention the query pays to each picture (ICR); needs a local model that shows it",
    needs=(AttentionReader,),
)

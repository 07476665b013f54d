"""In-context reranking (ICR, arXiv 2410.02642) by the attention from the query to each image; two forward passes.

Of a model whose heads were chosen (`imagescope train heads`) the chosen ones count alone, else all; and with each
image the tokens after it, where they were chosen for those too.
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


@dataclass(frozen=True, kw_only=True)
class Icr(Strategy):
    """Ranks by attention in one listwise prompt with the query last; decodes nothing."""

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By attention beyond that of an empty query; two calls, or none where the budget forbids two."""
        requests = [icr_request(session, query) for query in (NOTHING, session.task.query)]
        read = await session.attend(requests)
        if read is None:
            return list(session.items), {}
        # the pictures' last ones: the reference comes before the candidates
        (empty, without), (real, following) = (shown(attention, len(session.items)) for attention in read)
        if any(len(one) != len(other) for one, other in zip(empty, real, strict=True)):
            session.add_note("unreadable", "the model read the same pictures as different numbers of tokens")
            return list(session.items), {}
        scores = {
            item: calibrated(real[item], empty[item]) + following[item] - without[item]
            for item in session.items
        }
        return placed(session.items, scores), scores


def shown(attention: Attention, count: int) -> tuple[list[list[float]], list[float]]:
    """Of the last `count` images: attention to each token, and to what follows it, 0 where that does not count."""
    pictures = attention.pictures if attention.chosen is None else attention.chosen
    return pictures[-count:], (attention.after or [0.0] * len(pictures))[-count:]


def calibrated(real: Sequence[float], empty: Sequence[float]) -> float:
    """The sum over a picture's tokens of real minus empty attention, without tokens two deviations too low."""
    values = np.asarray(real, dtype=float) - np.asarray(empty, dtype=float)
    kept = values[values >= values.mean() - 2 * values.std()] if values.size else values
    return float(kept.sum())


def icr_request(session: JudgeSession, query: str) -> Request:
    """The listwise question, asked with another query."""
    task = replace(session.task, query=query, understood=query)
    return JudgeSession(task, session.candidates).numbered("order", session.items)


judge = Icr(
    summary="by the attention the query pays to each picture (ICR); needs a local model that shows it",
    needs=(AttentionReader,),
)

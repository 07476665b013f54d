"""E2Rank (arXiv 2510.22733): cosine between the embedding of a listwise prompt and that of each candidate."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import numpy as np

from imagescope_agent.judges.aggregation import placed
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy
from imagescope_agent.mllms.protocols import MessageEmbedder
from imagescope_agent.mllms.role import Request


@dataclass(frozen=True, kw_only=True)
class E2Rank(Strategy):
    """Ranks by embeddings of the model; decodes nothing.

    Args:
        window: most candidates that stand in the prompt, the first of them; all are compared with it.
    """

    window: int = 20

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By falling cosine; 1 + k calls, or none where the budget forbids them.

        The order stays, with a note, where the model was not trained to embed.
        """
        front = session.items[: self.window]
        alone = [Request(text="", images=(session.candidates[item].image,)) for item in session.items]
        requests = [session.numbered("order", front), *alone]
        embedding = await session.embed(requests)
        if embedding is None:
            return list(session.items), {}
        if not embedding.trained:
            session.add_note("fallback", "the judge's model was not trained to embed; the order stays")
            return list(session.items), {}
        rows = np.asarray(embedding.vectors, dtype=float)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        scores = {item: float(rows[0] @ rows[1 + item]) for item in session.items}
        return placed(session.items, scores), scores


judge = E2Rank(
    summary="by the angle between each picture and the query read with all of them (E2Rank); needs a model that embeds",
    needs=(MessageEmbedder,),
)

"""E2Rank (arXiv 2510.22733): cosine between the embedding of a listwise prompt and that of each candidate.

Of a model that says in which words it was trained to embed queries (`Role.query_words`) the prompt is the conversation
that it was trained on, after a turn for each candidate: in-context pseudo relevance feedback. Its vector is averaged
with that of the query alone; `listwise` ranks by the list's alone, as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from imagescope_agent.judges.aggregation import placed
from imagescope_agent.judges.session import JudgeSession
from imagescope_agent.judges.strategy import RankedItems, Strategy
from imagescope_agent.mllms.protocols import MessageEmbedder
from imagescope_agent.mllms.role import Request
from imagescope_agent.prompting import load_prompt


@dataclass(frozen=True, kw_only=True)
class E2Rank(Strategy):
    """Ranks by embeddings of the model; decodes nothing.

    Args:
        window: most candidates that stand in the prompt, the first of them; all are compared with it.
        feedback: weight of the listwise prompt's vector beside that of the query alone, where the model has words for
            queries; 1 for the paper's form. The default was chosen with `mini_cot`, which was never taught lists.
    """

    window: int = 20
    feedback: float = 0.25

    async def rank(self, session: JudgeSession, rng: Random) -> RankedItems:
        """By falling cosine; 1 + k calls, one more for the query alone, or none where the budget forbids them.

        The order stays, with a note, where the model was not trained to embed.
        """
        alone = [Request(text="", images=(session.candidates[item].image,)) for item in session.items]
        queries = self._queries(session, alone[: self.window])
        embedding = await session.embed([each for each, _ in queries] + alone)
        if embedding is None:
            return list(session.items), {}
        if not embedding.trained:
            session.add_note("fallback", "the judge's model was not trained to embed; the order stays")
            return list(session.items), {}
        rows = np.asarray(embedding.vectors, dtype=float)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        query = np.asarray([weight for _, weight in queries]) @ rows[: len(queries)]
        query /= max(float(np.linalg.norm(query)), 1e-12)
        scores = {item: float(query @ rows[len(queries) + item]) for item in session.items}
        return placed(session.items, scores), scores

    def _queries(self, session: JudgeSession, shown: Sequence[Request]) -> list[tuple[Request, float]]:
        """What is embedded as the query, with weights."""
        task = session.task
        if task.model.query_words is None:
            return [(session.numbered("order", session.items[: self.window]), 1.0)]
        step, prompt_set = task.model.query_words
        text = load_prompt(step, prompt_set=prompt_set).fill(instruction=task.query)
        references = () if task.reference is None else task.references
        listed = Request(text=text, images=references, before=tuple(shown))
        alone = Request(text=text, images=references)
        weighed = [(listed, self.feedback), (alone, 1 - self.feedback)]
        return [(request, weight) for request, weight in weighed if weight]


judge = E2Rank(
    summary="by the angle between each picture and the query read with all of them (E2Rank); needs a model that embeds",
    needs=(MessageEmbedder,),
)
listwise = E2Rank(summary=judge.summary, needs=(MessageEmbedder,), feedback=1.0)

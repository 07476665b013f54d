"""CoTRR (arXiv 2509.14746): one call that decomposes the query, grades every candidate and orders them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagescope_agent.judges import replies
from imagescope_agent.judges.elicitation import complete
from imagescope_agent.judges.listwise import Listwise
from imagescope_agent.judges.session import JudgeSession


@dataclass(frozen=True, kw_only=True)
class Cotrr(Listwise):
    """Listwise ranking with a chain of thought, whose grades become reasons.

    Args:
        attempts: how often an unreadable reply is asked for, each with a note.
    """

    window: int = 26
    attempts: int = 2

    async def elicit(self, session: JudgeSession, shown: Sequence[Sequence[int]]) -> list[list[int] | None]:
        """An order of each presentation; the grade of every candidate becomes a reason."""
        return [await self._one(session, items) for items in shown]

    async def _one(self, session: JudgeSession, items: Sequence[int]) -> list[int] | None:
        request = session.numbered("cotrr", items)
        for _ in range(self.attempts):
            reply = await session.ask(
                [request],
                lambda text: replies.parse_cotrr(text, len(items)),
                schema=replies.CotrrAnswer,
            )
            if reply[0] is not None:
                places, answer = reply[0]
                _explain(session, items, answer)
                return complete(session, places, items)
            if session.left == 0:
                break
        return None


def _explain(session: JudgeSession, items: Sequence[int], answer: replies.CotrrAnswer) -> None:
    for evaluation in answer.evaluations:
        if 1 <= evaluation.image <= len(items):
            name = session.candidates[items[evaluation.image - 1]].id
            words = f"{evaluation.grade} match" + (f": {evaluation.reason}" if evaluation.reason else "")
            session.reasons.setdefault(name, []).append(words)


judge = Cotrr(summary="three-step chain of thought over all candidates at once (CoTRR); one call")

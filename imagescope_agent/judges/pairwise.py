"""ImageScope's stage 3 (arXiv 2503.10166): reference and candidate in one request; the first Yes wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagescope_agent.errors import BudgetSpent, RequestRefused, UnreadableReply
from imagescope_agent.judges.base import (
    Candidate,
    Judgement,
    Task,
    fitting,
    too_many,
    without_blank,
)
from imagescope_agent.mllms.role import Reply, Request
from imagescope_agent.records import NoteDict, at_step, note
from imagescope_agent.replies.parsing import parse_yes_no


class FirstYes:
    """Asks about one candidate after the other beside the reference, until the first Yes."""

    summary = "Reference and candidate side by side, in order; the first Yes moves to rank 1 and ends it (ImageScope)"
    at_once = 1

    async def __call__(self, task: Task, candidates: Sequence[Candidate]) -> Judgement:
        """Move the first Yes to rank 1.

        At most one call a candidate. Scores: 1 for Yes, 0 for No, none for a candidate that was not judged or not
        readably. Without a Yes the order stays. An unreadable reply is no Yes and leaves a note.
        """
        order = [candidate.id for candidate in candidates]
        scores: dict[str, float] = {}
        reasons: dict[str, list[str]] = {}
        notes: list[NoteDict] = []
        usage: list[Mapping[str, Any]] = []
        questions = _CandidateQuestions(task)
        for place, candidate in enumerate(candidates):
            try:
                if task.budget is not None and len(usage) >= task.budget:
                    raise BudgetSpent("no call is left")
                reply = await questions.about(candidate, notes)
            except BudgetSpent:
                left = len(candidates) - place
                notes.append(
                    note("judge", "budget", f"{left} of {len(candidates)} candidates were not judged")
                )
                break
            except RequestRefused as error:
                notes.append(note("judge", "refused", f"{candidate.id!r}: {error}; taken as no Yes"))
                continue
            usage.append(reply.usage)
            notes += at_step("judge", reply.notes)
            try:
                satisfied, why = _verdict(reply)
            except UnreadableReply as error:
                notes.append(note("judge", "unreadable", f"{candidate.id!r}: {error}; taken as no Yes"))
                continue
            scores[candidate.id], reasons[candidate.id] = float(satisfied), [why]
            if satisfied:
                order.remove(candidate.id)
                order.insert(0, candidate.id)
                break
        return Judgement(order=order, scores=scores, reasons=reasons, notes=notes, usage=usage)


judge = FirstYes()


class _CandidateQuestions:
    """Sends one request a candidate, without the blank reference image once the model refused it."""

    def __init__(self, task: Task) -> None:
        self.model, self.references = task.model, task.references
        self.labels = task.labels([""])
        self.text, _ = task.words("evaluate")
        self.without_blank = self.answered = False

    async def about(self, candidate: Candidate, notes: list[NoteDict]) -> Reply:
        """The reply; a note is added where the blank reference image was left out.

        Raises:
            RequestRefused: the model does not take the question.
            BudgetSpent: it may not be asked.
        """
        images = (*self.references, candidate.image)
        full = fitting(self.model, Request(text=self.text, images=images, labels=self.labels))
        alone = without_blank(full)
        try:
            reply = await self._reply(alone if self.without_blank and alone else full)
        except RequestRefused:
            if alone is None or self.without_blank or self.answered:
                raise
            reply = await self._reply(alone)
            self.without_blank = True
            notes.append(
                note("judge", "fallback", "the model takes no blank picture in the place of a reference")
            )
        self.answered = True
        return reply

    async def _reply(self, request: Request) -> Reply:
        if why := too_many(self.model, request):
            raise RequestRefused(why)
        replies = await self.model.ask_some([request], [1])
        if not replies:
            raise BudgetSpent("no token is left")
        if isinstance(replies[0].problem, RequestRefused):
            raise replies[0].problem
        return replies[0]


def _verdict(reply: Reply) -> tuple[bool, str]:
    """Whether it is a Yes, and that in words, with the reason where one is given."""
    if reply.problem is not None:
        raise reply.problem
    try:
        satisfied, why = parse_yes_no(reply.text)
    except UnreadableReply as error:
        raise reply.unusable(error.problem) from error
    said = "Yes" if satisfied else "No"
    return satisfied, f"{said}: {why}" if why else said

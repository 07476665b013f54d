"""ImageScope's stage 3: reference and candidate side by side, and the first that satisfies the query wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagescope_agent.errors import BudgetSpent, UnreadableReply
from imagescope_agent.judges.base import Candidate, Judgement, Task, blank_image
from imagescope_agent.mllms.role import Request
from imagescope_agent.parsing import parse_yes_no
from imagescope_agent.records import at_step, note
from imagescope_agent.state import Note


async def judge(task: Task, candidates: Sequence[Candidate]) -> Judgement:
    """Reference and candidate side by side, in order; the first Yes moves to rank 1 and ends it (ImageScope)

    At most one call a candidate. Scores: 1 for Yes, 0 for No, none for a candidate that was not judged or not
    readably. Without a Yes the order stays. An unreadable reply is no Yes and leaves a note.
    """
    order = [candidate.id for candidate in candidates]
    scores: dict[str, float] = {}
    reasons: dict[str, list[str]] = {}
    notes: list[Note] = []
    usage: list[Mapping[str, Any]] = []
    reference = task.reference or blank_image()
    text, _ = task.words("evaluate")
    for candidate in candidates:
        try:
            if task.budget is not None and len(usage) >= task.budget:
                raise BudgetSpent("no call is left")
            reply = (await task.model.ask([Request(text=text, images=(reference, candidate.image))]))[0]
        except BudgetSpent:
            left = len(candidates) - len(usage)
            notes.append(note("judge", "budget", f"{left} of {len(candidates)} candidates were not judged"))
            break
        usage.append(reply.usage)
        notes += at_step("judge", reply.notes)
        try:
            satisfied, why = parse_yes_no(reply.text)
        except UnreadableReply as error:
            notes.append(note("judge", "unreadable", f"{candidate.id!r}: {error}; taken as no Yes"))
            continue
        scores[candidate.id] = float(satisfied)
        reasons[candidate.id] = [
            f"{'Yes' if satisfied else 'No'}: {why}" if why else "Yes" if satisfied else "No"
        ]
        if satisfied:
            order.remove(candidate.id)
            order.insert(0, candidate.id)
            break
    return Judgement(order=order, scores=scores, reasons=reasons, notes=notes, usage=usage)

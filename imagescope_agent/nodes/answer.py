"""The last node of a graph: the final ranking with scores and reasons from every stage."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.errors import RequestRefused, UnreadableReply
from imagescope_agent.nodes.caption_support import bears_out
from imagescope_agent.nodes.chat.answer_words import fit_remarks
from imagescope_agent.nodes.fulfilment import Fulfilment, evidence
from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.nodes.judging.judge import JudgeTop
from imagescope_agent.nodes.standing_filter import nothing_matches, standing_filter
from imagescope_agent.nodes.verify import satisfies
from imagescope_agent.records import SAYS_ALL, Reason, Result
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, State, matches_expected

COMPLETE_WITHOUT = frozenset([JudgeTop.step, "acts", "filter"])  # steps that a run can do without
NAMED = 5  # copies of an image that are listed by name


class Answer:
    """Builds the results from what the stages found; makes no model call.

    Args:
        collection: knows which files are copies of one image.
        calibration: file of a `Fulfilment`; without one nothing is said of how probable it is that something fits.
        captions: whether the graph goes by captions too, which is a reason then.

    Raises:
        BadInput: there is no such calibration, or it is damaged.
    """

    def __init__(
        self, collection: Collection, calibration: str | None = None, *, captions: bool = False
    ) -> None:
        self.collection, self.captions = collection, captions
        self.fulfilment = None if calibration is None else Fulfilment.load(Path(calibration))

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `ranking` (every retrieved image) and `results`: k times {rank, id, scores, reasons}.

        Where a filter leaves nothing, a note says so. Where something was verified, `fulfilment` with a calibration;
        and `remarks` where nothing fits.

        Raises:
            RequestRefused: models were asked, and refused everything.
        """
        require_answers(state)
        ranking = state["ranking"] or state["ranking_verify"] or state["ranking_retrieve"]
        settings, start = current(runtime), state.get("offset", 0)
        wanted = ranking[start : start + settings.k]
        retrieved = {candidate["id"]: candidate["retrieve"] for candidate in state["candidates"]}
        results = [
            Result(
                rank=rank,
                id=name,
                scores={
                    "retrieve": retrieved[name],
                    "verify": _share(state, name),
                    "judge": state["judgement"]["scores"].get(name),
                },
                reasons=(*_reasons(state, name), *self._told(state, name), *self._copies(name)),
            ).to_dict()
            for rank, name in enumerate(wanted, start=start + 1)
        ]
        update: dict[str, Any] = {"ranking": ranking, "results": results}
        update |= self._fulfilled({**state, **update}, settings)  # type: ignore[typeddict-item]
        if not results and (where := standing_filter(state, settings)):
            update["notes"] = [await asyncio.to_thread(nothing_matches, where, self.collection)]
        return update

    def _fulfilled(self, state: State, settings: Settings) -> dict[str, Any]:
        """How probable it is that the first place fulfils everything; in words where it is not enough."""
        known = evidence(state) if self.fulfilment else None
        if self.fulfilment is None or known is None:
            return {}
        chance = self.fulfilment.chance(known)
        least = self.fulfilment.threshold if settings.nothing_fits is None else settings.nothing_fits
        stated = {"fulfilment": round(chance, 4)}
        if chance >= least:
            return stated
        return {**stated, "remarks": fit_remarks(state, state["results"], unfit=True)}

    def _told(self, state: State, name: str) -> list[Reason]:
        asked, answers = state["predicates"], state.get("verdicts", {}).get(name, {})
        open_ = [each for each in asked if each["question"] not in answers]
        denied = any(not satisfies(answers, each) for each in asked if each not in open_)
        if not self.captions or not open_ or denied or not bears_out(self.collection.caption(name), asked):
            return []
        return [Reason(kind="caption", text=SAYS_ALL)]

    def _copies(self, name: str) -> list[Reason]:
        others = [other for other in self.collection.copies(name) if other != name]
        if not others or not self.collection.merges_copies:
            return []
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        return [Reason(kind="copies", text=f"{', '.join(others[:NAMED])}{more}")]


def require_answers(state: State) -> None:
    """Make sure that some model call was answered, in this turn or before.

    What goes on without a model is no error: a judge that refuses leaves the ranking, and a message whose acts or
    filter nobody reads is taken by its words; who must interpret these is asked, or needs no model.

    Raises:
        RequestRefused: every question was refused; says why the first was.
        UnreadableReply: the models sent no reply to any.
    """
    if state.get("calls", 0) or any(entry["calls"] for entry in state.get("usage", [])):
        return
    noted = [note for note in state.get("notes", []) if note["step"] not in COMPLETE_WITHOUT]
    for kind, error in (("refused", RequestRefused), ("unreadable", UnreadableReply)):
        if why := next((note["detail"] for note in noted if note["kind"] == kind), ""):
            raise error(f"no model answers anything: {why}")


def _share(state: State, name: str) -> float | None:
    """The share of predicates that the image satisfies, 0 to 1; None when it was not verified."""
    matches = state["matches"].get(name)
    return None if matches is None else matches / len(state["predicates"])


def _reasons(state: State, name: str) -> list[Reason]:
    verified = name in state["matches"]
    answers = state.get("verdicts", {}).get(name, {})
    reasons = [_verdict(predicate, answers) for predicate in state["predicates"] if verified]
    if why := state.get("unverified", {}).get(name):
        reasons.append(Reason(kind="unverified", text=why))
    judged = state["judgement"]["reasons"].get(name, [])
    return [*reasons, *(Reason(kind="judge", text=reason) for reason in judged)]


def _verdict(predicate: Predicate, answers: dict[str, float]) -> Reason:
    question, expected, number = predicate["question"], predicate["expected"], predicate.get("reference")
    shown = bare(predicate) + (f" (reference {number})" if number else "")
    if question not in answers:
        return Reason(kind="unknown", question=shown, expected=expected)
    yes = answers[question]
    return Reason(
        kind="matches" if matches_expected(yes, expected) else "fails",
        question=shown,
        expected=expected,
        probability=yes if expected == "Yes" else 1.0 - yes,
    )

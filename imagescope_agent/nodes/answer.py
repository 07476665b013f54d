"""The last node: the ranking with the scores and reasons of every stage."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime

from imagescope_agent.collection.index import Collection
from imagescope_agent.errors import RequestRefused
from imagescope_agent.nodes.judge import JudgeTop
from imagescope_agent.settings import Settings, current
from imagescope_agent.state import Predicate, State, matches_expected

NAMED = 5  # copies of a picture that are told by name


class Answer:
    """Put together what the stages found; asks nobody.

    Args:
        collection: tells which other files hold the same pictures.
    """

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    async def __call__(self, state: State, runtime: Runtime[Settings]) -> dict[str, Any]:
        """Return `ranking` (every retrieved image) and `results`: k times {rank, id, scores, reasons}.

        Raises:
            RequestRefused: models were asked, and refused everything.
        """
        require_answers(state)
        ranking = state["ranking"] or state["ranking_verify"] or state["ranking_retrieve"]
        wanted = ranking[: current(runtime).k]
        retrieved = {candidate["id"]: candidate["retrieve"] for candidate in state["candidates"]}
        results = [
            {
                "rank": rank,
                "id": name,
                "scores": {
                    "retrieve": retrieved[name],
                    "verify": _share(state, name),
                    "judge": state["judgement"]["scores"].get(name),
                },
                "reasons": [*_reasons(state, name), *self._copies(name)],
            }
            for rank, name in enumerate(wanted, start=1)
        ]
        return {"ranking": ranking, "results": results}

    def _copies(self, name: str) -> list[str]:
        others = [other for other in self.collection.copies(name) if other != name]
        if not others or not self.collection.merges_copies:
            return []
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        return [f"the same picture: {', '.join(others[:NAMED])}{more}"]


def require_answers(state: State) -> None:
    """Make sure that a model answered something, in this turn or before; a ranking needs no judge for it.

    Raises:
        RequestRefused: every question was refused; says why the first was.
    """
    refused = [note for note in state.get("notes", []) if note["kind"] == "refused"]
    before = [entry for turn in state.get("turns", []) for entry in turn["usage"]]
    answered = any(entry["calls"] for entry in [*before, *state.get("usage", [])])
    if not answered and any(note["step"] != JudgeTop.step for note in refused):
        raise RequestRefused(f"no model answers anything: {refused[0]['detail']}")


def _share(state: State, name: str) -> float | None:
    """The share of predicates that the image satisfies, 0 to 1; None when it was not verified."""
    matches = state["matches"].get(name)
    return None if matches is None else matches / len(state["predicates"])


def _reasons(state: State, name: str) -> list[str]:
    verified = name in state["matches"]
    answers = state.get("verdicts", {}).get(name, {})
    reasons = [_verdict(predicate, answers) for predicate in state["predicates"] if verified]
    if why := state.get("unverified", {}).get(name):
        reasons.append(f"unverified: {why}")
    return reasons + [f"judge: {reason}" for reason in state["judgement"]["reasons"].get(name, [])]


def _verdict(predicate: Predicate, answers: dict[str, float]) -> str:
    question, expected = predicate["question"], predicate["expected"]
    if question not in answers:
        return f"unknown: {question} expected {expected}, not answered"
    yes = answers[question]
    outcome = "matches" if matches_expected(yes, expected) else "fails"
    chance = yes if expected == "Yes" else 1.0 - yes
    return f"{outcome}: {question} expected {expected}, P({expected}) = {chance:.2f}"

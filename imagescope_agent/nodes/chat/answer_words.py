"""What a turn says about its results: how far they fit, what is missing, where verdicts and judge disagree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.polarity import is_negated
from imagescope_agent.nodes.intent.assigned_predicates import is_asked
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.prompting import request_text
from imagescope_agent.records import Reason, Result, ResultDict
from imagescope_agent.state import State

SURE = 0.5  # a judge's score from which it says that the image fits


def request_words(state: State) -> str:
    """All that is wanted, with what must not be there as such."""
    if state["reference"] is not None:
        return state["request"]
    said = content_words(state["request"])
    excluded = request_text(
        fact
        for fact in state["facts"]
        if fact["type"] == "Removal" and not content_words(fact["text"]) <= said
    )
    return ", ".join(filter(None, [state["request"], excluded]))


def fit_remarks(state: State, results: Sequence[ResultDict], *, unfit: bool = False) -> list[str]:
    """How many of the results fit everything; where none does, what the first one lacks.

    Args:
        state: of the finished run.
        results: those that are shown.
        unfit: all evidence together says that nothing fits, whatever single checks say.
    """
    if not state["intent"]["full"]:
        return []
    if not results:
        return ["Nothing was found."]
    hits = [Result.from_dict(hit) for hit in results]
    checked = [hit for hit in hits if any(reason.is_verdict for reason in hit.reasons)]
    if not checked:
        return [f"{_pictures(len(hits))} found; none was checked."]
    fits = [hit for hit in checked if all(r.kind == "matches" for r in hit.reasons if r.is_verdict)]
    if fits and not unfit:
        said = [f"{_pictures(len(fits))} {'fits' if len(fits) == 1 else 'fit'} everything that was said."]
    else:
        said = [f"Nothing fits everything; these come closest, {_lacking(checked[0])}."]
    return said + _unchecked(state) + _disagreement(state, hits[0])


def _unchecked(state: State) -> list[str]:
    """A sentence on what is wanted or excluded and no question checks, so that results are not taken to show it."""
    facts = state.get("facts", [])  # of a conversation
    unchecked = [
        fact
        for fact in facts
        if not fact["predicates"]
        and not is_asked({"type": fact["type"], "text": fact["text"]}, state["predicates"])
    ]
    return [f"No question checks this: {request_text(unchecked)}."] if unchecked else []


def missing(hit: Result) -> str:
    """What was wanted that an image does not show, or was found though it was excluded."""
    failed = [reason for reason in hit.reasons if reason.is_verdict and reason.kind != "matches"]
    return request_text([_instruction(reason) for reason in failed])


def _lacking(hit: Result) -> str:
    """What an image lacks or, where it passes every check, which of them it passes with the least certainty."""
    if lacks := missing(hit):
        return f"missing: {lacks}"
    passed = [reason for reason in hit.reasons if reason.is_verdict]
    doubtful = min(passed, key=lambda reason: reason.probability or 0.0)
    return f"least certain: {request_text([_instruction(doubtful)])}"


def _instruction(reason: Reason) -> dict[str, str]:
    return {"type": "Addition", "text": f"{reason.question} {reason.expected}"}


def _disagreement(state: State, hit: Result) -> list[str]:
    """A sentence where the verdicts about the first result and the judge contradict each other."""
    score = state["judgement"]["scores"].get(hit.id)
    verdicts = [reason for reason in hit.reasons if reason.is_verdict]
    if score is None or not verdicts or state["judgement"]["order"][:1] != [hit.id]:
        return []
    fits = all(reason.kind == "matches" for reason in verdicts)
    if fits == (score >= SURE):
        return _denied(hit)
    told = "passes every check, but compared as a whole it was found not to fit"
    other = "fails a check, but compared as a whole it was found to fit"
    return [f"The first picture {told if fits else other}: look at it yourself."]


def _denied(hit: Result) -> list[str]:
    """A sentence where the judge's words about a picture deny what a check of it found: "there is no boat"."""
    said = " ".join(reason.text for reason in hit.reasons if reason.kind == "judge")
    found = [reason for reason in hit.reasons if reason.kind == "matches" and reason.expected == "Yes"]
    for clause in filter(content_words, re.split(r"[.,;:!?\n]+", said)):
        for reason in found:
            named = content_words(clause) <= content_words(reason.question)
            if named and is_negated(reason.question, clause):
                told = f'passes the check "{reason.question}", but the judge says "{clause.strip()}"'
                return [f"The first picture {told}: look at it yourself."]
    return []


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"

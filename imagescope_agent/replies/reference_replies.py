"""Replies about several references: intent and predicates, with the numbers of the references they are about."""

from __future__ import annotations

from pydantic import Field

from imagescope_agent.replies.parsing import (
    MAX_PREDICATES,
    MAX_STEPS,
    IntentAnswer,
    PredicateAnswer,
    PredicatesAnswer,
    StepAnswer,
    parse_intent,
    parse_json,
)
from imagescope_agent.state import Instruction, Intent, Predicate


class ReferencedStep(StepAnswer):
    """One atomic instruction and the number of the reference it is about, 0 for none."""

    image: int = 0


class ReferencedIntentAnswer(IntentAnswer):
    """The reply to `compose`, and the schema a decoder can hold it to."""

    steps: list[ReferencedStep] = Field(min_length=1, max_length=MAX_STEPS)  # type: ignore[assignment]


class ReferencedPredicate(PredicateAnswer):
    """One question and the number of the reference that must be seen to answer it, 0 for none."""

    reference: int = 0


class ReferencedPredicatesAnswer(PredicatesAnswer):
    """The reply to `beside`, and the schema a decoder can hold it to."""

    predicates: list[ReferencedPredicate] = Field(  # type: ignore[assignment]
        min_length=1, max_length=MAX_PREDICATES
    )


def parse_referenced_intent(reply: str, count: int, told: str = "") -> Intent:
    """As `parse_intent`; a step has the number of its reference, if it gives one from 1 to `count`.

    Raises:
        UnreadableReply: as `parse_intent`.
    """
    intent = parse_intent(reply, told)
    answer = parse_json(reply, ReferencedIntentAnswer)
    steps: list[Instruction] = [
        {**step, "reference": given.image} if 1 <= given.image <= count else step
        for step, given in zip(intent["steps"], answer.steps, strict=True)
    ]
    return {**intent, "steps": steps}


def parse_referenced_predicates(reply: str, count: int) -> list[Predicate]:
    """As `parse_predicates`; a predicate has the number of its reference, if it gives one from 1 to `count`.

    Raises:
        UnreadableReply: there is no such object.
    """
    found: list[Predicate] = []
    for each in parse_json(reply, ReferencedPredicatesAnswer).predicates:
        predicate: Predicate = {"question": each.question, "expected": each.expected}
        found.append(
            {**predicate, "reference": each.reference} if 1 <= each.reference <= count else predicate
        )
    return found

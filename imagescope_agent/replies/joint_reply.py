"""A reply that holds an intent and its predicates."""

from __future__ import annotations

from pydantic import Field

from imagescope_agent import state
from imagescope_agent.replies.parsing import (
    MAX_PREDICATES,
    IntentAnswer,
    PredicateAnswer,
    parse_intent,
    parse_predicates,
)


class JointAnswer(IntentAnswer):
    """The reply to `joint`, and the schema a decoder can hold it to."""

    predicates: list[PredicateAnswer] = Field(min_length=1, max_length=MAX_PREDICATES)


def parse_joint(reply: str, told: str = "") -> tuple[state.Intent, list[state.Predicate]]:
    """As `parse_intent` and `parse_predicates`, of one object.

    Raises:
        UnreadableReply: as both.
    """
    return parse_intent(reply, told), parse_predicates(reply)

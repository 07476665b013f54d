"""What "it" and "them" mean where a message says how something lies: "a cat to the right of it"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imagescope_agent.nodes.chat.language.coverage import phrases
from imagescope_agent.nodes.chat.language.standing_facts import plain
from imagescope_agent.nodes.chat.language.vocabulary import Vocabulary
from imagescope_agent.state import Fact, MessagePart, State

#: A relation to what was named before, with nothing said of that behind it: "the star left of it is red" is longer.
_TO_IT = re.compile(
    r"\b((?:left|right) of|above|below|over|under(?:neath)?|beneath|on top of)\s+(?:it|them|this|that|these|those)\b"
    r"(?=\s*(?:[.,;!?)]|$|please\b|too\b|as well\b))",
    re.I,
)


def with_antecedents(state: State, vocabulary: Vocabulary) -> State:
    """The state with a message in which a relation names the standing thing that it points back to.

    That is the last one that the message does not speak of itself. Where none stands, or the message names two things
    before the pronoun, it stays as it was said.
    """
    message = state["query"]
    found = _TO_IT.search(message)
    if not found or len(_things(message[: found.start()], vocabulary)) != 1:
        return state
    meant = _antecedent(state["facts"], _things(message, vocabulary), vocabulary)
    if not meant:
        return state
    acts: list[MessagePart] = [
        {"text": _TO_IT.sub(rf"\1 {meant}", part["text"], count=1), "act": part["act"]}
        for part in state["acts"]
    ]
    return {**state, "query": _TO_IT.sub(rf"\1 {meant}", message, count=1), "acts": acts}


def _things(text: str, vocabulary: Vocabulary) -> set[str]:
    return {phrase.head for phrase in phrases(text, vocabulary) if phrase.head and not phrase.place}


def _antecedent(facts: Sequence[Fact], spoken_of: set[str], vocabulary: Vocabulary) -> str:
    """The last standing thing that is none of those that are spoken of; "" for none."""
    things = (found for fact in reversed(facts) if (found := plain(fact, vocabulary)))
    return next((f"the {each.head}" for each in things if each.head not in spoken_of), "")

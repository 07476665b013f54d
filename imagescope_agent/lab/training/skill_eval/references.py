"""Accuracy of reading queries about several references."""

from __future__ import annotations

from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.training.data.compose_turns import compose_turn
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.replies.reference_replies import ReferencedIntentAnswer, parse_referenced_intent
from imagescope_agent.state import Intent


async def references_accuracy(reader: Role, seed: int, count: int) -> dict[str, float]:
    """Shares of queries of which all instructions are right, per cent: their words, and also their references."""
    rng = Random(f"card several {seed}")
    turns = [compose_turn(rng) for _ in range(count)]
    replies = await reader.ask([Request(text=turn.prompt) for turn in turns], schema=ReferencedIntentAnswer)
    words = everything = 0
    for reply, turn in zip(replies, turns, strict=True):
        count_of = turn.prompt.count("\nimage ")
        try:
            found = parse_referenced_intent(reply.text, count_of)
        except UnreadableReply:
            continue
        truth = parse_referenced_intent(turn.answer, count_of)
        words += _words(found) == _words(truth)
        everything += found["steps"] == truth["steps"]
    return {"instructions": 100 * words / count, "instructions and references": 100 * everything / count}


def _words(intent: Intent) -> list[tuple[str, str]]:
    return [(step["type"], step["text"]) for step in intent["steps"]]

"""Accuracy of reading queries about several references."""

from __future__ import annotations

from functools import partial
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.scenes.references.queries import several_query
from imagescope_agent.lab.scenes.references.wording import FramedReferences
from imagescope_agent.lab.training.data.compose_turns import compose_turn, turn_of
from imagescope_agent.lab.training.data.turn import TrainingTurn
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.replies.reference_replies import ReferencedIntentAnswer, parse_referenced_intent
from imagescope_agent.state import Intent


async def references_accuracy(reader: Role, seed: int, count: int) -> dict[str, float]:
    """Shares of queries of which all instructions are right, per cent: their words, and also their references.

    Once in the words that are taught, and once in the sentence frames that are held out; see `wordings.frames.frames`.
    """
    rng = Random(f"card several {seed}")
    plain = await _shares(reader, [compose_turn(rng) for _ in range(count)])
    unseen = partial(FramedReferences, unseen=True)
    framed = await _shares(reader, [turn_of(several_query(rng, unseen)) for _ in range(count)])
    return plain | {f"{name}, other words": share for name, share in framed.items()}


async def _shares(reader: Role, turns: list[TrainingTurn]) -> dict[str, float]:
    count = len(turns)
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

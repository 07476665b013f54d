"""Accuracy of reading queries in sentence frames that no training has seen."""

from __future__ import annotations

from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.training.data.turn import TrainingTurn
from imagescope_agent.lab.training.data.understanding_turns import framed_query, understand_turn
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.replies.parsing import IntentAnswer, parse_intent


async def wordings_accuracy(reader: Role, seed: int, count: int) -> dict[str, float]:
    """Shares of queries of which all instructions are right, in any order, per cent.

    "tir": of text; "cir": composed, with edits; "kept": composed, that keep a few things and change them.
    """
    rng = Random(f"card wordings {seed}")
    turns: dict[str, list[TrainingTurn]] = {"tir": [], "cir": [], "kept": []}
    while min(map(len, turns.values())) < count:
        query, reference = framed_query(rng, unseen=True)
        name = "tir" if reference is None else "kept" if query.kind == "kept" else "cir"
        turns[name].append(understand_turn(query, reference))
    return {name: await _right(reader, made[:count]) for name, made in turns.items()}


async def _right(reader: Role, turns: list[TrainingTurn]) -> float:
    replies = await reader.ask([Request(text=turn.prompt) for turn in turns], schema=IntentAnswer)
    right = sum(_steps(reply.text) == _steps(turn.answer) for reply, turn in zip(replies, turns, strict=True))
    return 100 * right / len(turns)


def _steps(answer: str) -> list[tuple[str, str]] | None:
    try:
        return sorted((step["type"], step["text"]) for step in parse_intent(answer)["steps"])
    except UnreadableReply:
        return None

"""Accuracy in conversations: dialogue state update, proposing clarifying questions, wording one."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.training.data.dialogue_turns import (
    question_proposal_example,
    question_wording_turn,
    state_update_turn,
)
from imagescope_agent.lab.training.data.turn import TrainingTurn
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.replies.parsing import FoldAnswer, ProposalAnswer, parse_fold, parse_proposal


async def dialogue_accuracy(talker: Role, seed: int, count: int) -> dict[str, float]:
    """Accuracies per skill, per cent.

    "fold" must give the right topic, answer, dropped facts and new steps; "propose" must propose only questions that
    some image answers with yes and that were not asked before; "ask" must word the question exactly as trained.
    """
    rng = Random(f"card talking {seed}")
    updates = [state_update_turn(rng) for _ in range(count)]
    wordings = [question_wording_turn(rng) for _ in range(count)]
    examples = [each for each in (question_proposal_example(rng) for _ in range(count)) if each[1]]
    proposals = [turn for turn, _ in examples]
    acceptable = {turn.prompt: questions for turn, questions in examples}
    updated = await talker.ask(_requests(updates), schema=FoldAnswer)
    proposed = await talker.ask(_requests(proposals), schema=ProposalAnswer)
    worded = await talker.ask(_requests(wordings))
    return {
        "fold": _percentage(updated, updates, _same_update),
        "propose": _percentage(
            proposed, proposals, lambda text, turn: _all_acceptable(text, acceptable[turn.prompt])
        ),
        "ask": _percentage(worded, wordings, lambda text, turn: text == turn.answer),
    }


def _requests(turns: Sequence[TrainingTurn]) -> list[Request]:
    return [Request(text=turn.prompt) for turn in turns]


def _percentage(
    replies: Sequence[Reply], turns: Sequence[TrainingTurn], right: Callable[[str, TrainingTurn], bool]
) -> float:
    good = 0
    for reply, turn in zip(replies, turns, strict=True):
        try:
            good += right(reply.text, turn)
        except UnreadableReply:
            continue
    return 100 * good / len(turns)


def _same_update(text: str, turn: TrainingTurn) -> bool:
    found, truth = parse_fold(text), parse_fold(turn.answer)
    same = (found.topic, found.answer, sorted(found.drop)) == (truth.topic, truth.answer, sorted(truth.drop))
    return same and found.steps == truth.steps


def _all_acceptable(text: str, acceptable: Set[str]) -> bool:
    """Whether there is at least one question, and all of them are acceptable."""
    return set() < set(parse_proposal(text)) <= acceptable

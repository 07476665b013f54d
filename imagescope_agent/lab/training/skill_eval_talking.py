"""What the mini chat model can do in conversations: fold a message in, propose questions, word one."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.lab.training.examples import Branch
from imagescope_agent.lab.training.talking import ask_branch, fold_branch, propose_example
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.parsing import FoldAnswer, ProposalAnswer, parse_fold, parse_proposal

Figures = dict[str, float]


async def talking_figures(talker: Role, seed: int, turns: int) -> Figures:
    """Shares of right answers.

    "fold" knows the topic, the answer given, what is overruled and what is new; "propose" asks only what some picture
    shows and nobody has asked; "ask" words the question as it was taught.
    """
    rng = Random(f"card talking {seed}")
    folds = [fold_branch(rng) for _ in range(turns)]
    asks = [ask_branch(rng) for _ in range(turns)]
    examples = [each for each in (propose_example(rng) for _ in range(turns)) if each[1]]
    proposals, fair = [branch for branch, _ in examples], {branch.prompt: may for branch, may in examples}
    folded = await talker.ask(_requests(folds), schema=FoldAnswer)
    proposed = await talker.ask(_requests(proposals), schema=ProposalAnswer)
    asked = await talker.ask(_requests(asks))
    return {
        "fold": _share(folded, folds, _same_fold),
        "propose": _share(proposed, proposals, lambda text, branch: _all_fair(text, fair[branch.prompt])),
        "ask": _share(asked, asks, lambda text, branch: text == branch.answer),
    }


def _requests(branches: Sequence[Branch]) -> list[Request]:
    return [Request(text=branch.prompt) for branch in branches]


def _share(
    replies: Sequence[Reply], branches: Sequence[Branch], right: Callable[[str, Branch], bool]
) -> float:
    good = 0
    for reply, branch in zip(replies, branches, strict=True):
        try:
            good += right(reply.text, branch)
        except UnreadableReply:
            continue
    return 100 * good / len(branches)


def _same_fold(text: str, branch: Branch) -> bool:
    found, truth = parse_fold(text), parse_fold(branch.answer)
    same = (found.topic, found.answer, sorted(found.drop)) == (truth.topic, truth.answer, sorted(truth.drop))
    return same and found.steps == truth.steps


def _all_fair(text: str, fair: Set[str]) -> bool:
    """Every question is one of those that may be asked, in any number; asking nothing is wrong."""
    return set() < set(parse_proposal(text)) <= fair

"""What the mini chat model can do in conversations: fold a message in, propose questions, word one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random

from imagescope_agent.errors import UnreadableReply
from imagescope_agent.mllms.role import Reply, Request, Role
from imagescope_agent.parsing import FoldAnswer, ProposalAnswer, parse_fold, parse_proposal
from imagescope_agent.training.examples import Branch
from imagescope_agent.training.talking import ask_branch, fold_branch, propose_branch

Figures = dict[str, float]


async def talking_figures(reasoner: Role, seed: int, turns: int) -> Figures:
    """Shares of right answers.

    "fold" knows the topic, the answer given, what is overruled and what is new; "propose" asks only what some picture
    shows and nobody has asked; "ask" words the question as it was taught.
    """
    rng = Random(f"card talking {seed}")
    folds = [fold_branch(rng) for _ in range(turns)]
    asks = [ask_branch(rng) for _ in range(turns)]
    proposals = [each for each in (propose_branch(rng) for _ in range(turns)) if '"Is' in each.answer]
    folded = await reasoner.ask(_requests(folds), schema=FoldAnswer)
    proposed = await reasoner.ask(_requests(proposals), schema=ProposalAnswer)
    asked = await reasoner.ask(_requests(asks))
    return {
        "fold": _share(folded, folds, _same_fold),
        "propose": _share(proposed, proposals, _new_questions),
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


def _new_questions(text: str, branch: Branch) -> bool:
    """Every question is one of those that may be asked, in any number; asking nothing is wrong."""
    known, shown = branch.prompt.removesuffix("\nWhat may be asked?").split("\nPictures:\n")
    wanted: list[str] = json.loads(branch.answer)["questions"]
    found = parse_proposal(text)
    return all(each in wanted or (each not in known and _look(each) in shown) for each in found)


def _look(question: str) -> str:
    """What "Is there a red cat?" asks for, without the article; a mark that no caption holds for other questions."""
    asked = re.fullmatch(r"Is there an? (\w.*)\?", question)
    return asked[1] if asked else "?"

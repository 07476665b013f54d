"""Runs judging strategies on simulated models, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from imagescope_agent.judges import JUDGES
from imagescope_agent.judges.base import Candidate, Judgement, Task, blank_image
from imagescope_agent.lab.judge_simulator import NoisyJudge
from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.mllms.scripted import Scripted
from imagescope_agent.registry import resolve

#: Without ImageScope's judge, which stops at the first yes, and those that read model states: they are tested apart.
ORDERING = sorted(set(JUDGES) - {"pairwise", "icr", "e2rank"})


def strategy(name: str) -> Any:
    return resolve(name, JUDGES, kind="judge")


def candidates(keys: Sequence[str]) -> list[Candidate]:
    return [Candidate(id=key, image=ImageRef(key=key, data=blank_image().data)) for key in keys]


def judged(judge: Any, model: Any, keys: Sequence[str], **task: Any) -> tuple[Judgement, list[Any]]:
    role = model if isinstance(model, Role) else Role("judge", Scripted(model))
    answer = asyncio.run(judge(Task(query="a red boat", model=role, **task), candidates(keys)))
    return answer, role.model.asked  # type: ignore[attr-defined]


def truth(keys: Sequence[str], *, contrary: bool = False) -> NoisyJudge:
    """A judge for which relevance decreases with the keys' numbers, or increases if `contrary`."""
    numbers = sorted(keys, key=int, reverse=contrary)
    return NoisyJudge(relevance={key: 1 - 0.98 * place / len(keys) for place, key in enumerate(numbers)})

"""Simulates a judge model from the true relevance of the candidates, with configurable errors.

For tests and for studies of judging strategies (quality against number of calls), in milliseconds.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from pydantic import BaseModel

from imagescope_agent.judges import grid
from imagescope_agent.judges.base import Candidate, Judge, Judgement, Task, blank_image
from imagescope_agent.mllms.role import Choice, ImageRef, Reply, Request, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.prompting import STEPS, load_prompt

GRADES = ("poor", "partial", "good", "excellent")


@dataclass(kw_only=True)
class NoisyJudge:
    """Answers every prompt of the judging strategies from the candidates' relevance.

    Args:
        relevance: image key -> relevance, 0 to 1.
        error: probability that a candidate's relevance is replaced by a random one, each time it is shown; a long list
            therefore has more errors than a pair.
        bias: probability that the answer is the first candidate shown, or the order shown.
        intransitive: share of the pairs that are always judged the wrong way round.
        seed: of the random numbers.
    """

    relevance: Mapping[str, float]
    error: float = 0.0
    bias: float = 0.0
    intransitive: float = 0.0
    seed: int = 0
    rng: Random = field(init=False, repr=False)
    reversed_pairs: dict[tuple[str, str], bool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)

    def role(self) -> DirectRole:
        """A role that asks this judge; it writes text and gives probabilities of choices."""
        return DirectRole("judge", ScriptedScorer(self.weights, self.reply))

    def weights(self, asked: Asked) -> list[float]:
        """The unnormalised probabilities of the offered choices."""
        shown = candidates_shown(asked)
        if asked.choices == ("Yes", "No"):
            yes = self._noisy_relevance(shown[0])
            return [yes + 1e-6, 1 - yes + 2e-6]  # never exactly even, which counts as no answer
        labels = match_prompt(asked.text)[1]["labels"].split(", ")
        order = self._order(shown)
        weights = {labels[place]: 0.5**rank for rank, place in enumerate(order)}
        return [weights[choice] for choice in asked.choices or ()]

    def reply(self, asked: Asked) -> str:
        """The answer as text."""
        step, values = match_prompt(asked.text)
        shown = candidates_shown(asked)
        if step in ("evaluate", "grade"):
            relevance = self._noisy_relevance(shown[0])
            return ("Yes" if relevance > 0.5 else "No") if step == "evaluate" else str(round(10 * relevance))
        if step == "grades":
            return json.dumps({"grades": [round(10 * self._noisy_relevance(key)) for key in shown]})
        order = self._order(shown)
        if step == "best":
            return str(values["labels"].split(", ")[order[0]])
        numbers = [place + 1 for place in order]
        if step in ("order", "grid"):
            return json.dumps({"order": numbers})
        evaluations = [
            {"image": place + 1, "grade": GRADES[min(3, int(4 * self.relevance[key]))], "reason": ""}
            for place, key in enumerate(shown)
        ]
        return json.dumps({"components": ["all of it"], "evaluations": evaluations, "order": numbers})

    def _noisy_relevance(self, key: str) -> float:
        return self.rng.random() if self.rng.random() < self.error else self.relevance[key]

    def _order(self, shown: Sequence[str]) -> list[int]:
        """The positions, best first, by noisy relevance and the pairs that are always reversed."""
        if self.rng.random() < self.bias:
            return list(range(len(shown)))
        seen = [self._noisy_relevance(key) for key in shown]
        if not self.intransitive:
            return sorted(range(len(shown)), key=lambda place: -seen[place])

        def wins(one: int, other: int) -> bool:
            return (seen[one] > seen[other]) != self._is_reversed(*sorted((shown[one], shown[other])))

        places = range(len(shown))
        won = [sum(wins(one, other) for other in places if shown[other] != shown[one]) for one in places]
        return sorted(places, key=lambda place: (-won[place], -seen[place]))

    def _is_reversed(self, first: str, second: str) -> bool:
        if (first, second) not in self.reversed_pairs:
            drawn = Random(f"{self.seed} {first} {second}").random()
            self.reversed_pairs[first, second] = drawn < self.intransitive
        return self.reversed_pairs[first, second]


class DirectRole(Role):
    """Calls a scripted model's functions without LangChain's overhead, and records the requests as it would."""

    model: Scripted

    async def ask_some(
        self,
        requests: Sequence[Request],
        groups: Sequence[int],
        *,
        schema: type[BaseModel] | None = None,
        max_tokens: int | None = None,
    ) -> list[Reply]:
        """As `Role.ask_some`."""
        return [Reply(text=self.model.answer(asked), usage=_cost(1)) for asked in self._record(requests)]

    async def choose_some(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        groups: Sequence[int],
        *,
        max_tokens: int | None = None,
    ) -> Choice:
        """As `Role.choose_some`; without a scorer the choice is parsed from the reply's text."""
        if not isinstance(self.model, ScriptedScorer):
            return await super().choose_some(requests, choices, groups, max_tokens=max_tokens)
        weights = [self.model.scorer(asked) for asked in self._record(requests, tuple(choices))]
        rows = [[float(weight) / sum(row) for weight in row] for row in weights]
        return Choice(probabilities=rows, usage=_cost(len(rows)))

    def _record(self, requests: Sequence[Request], choices: tuple[str, ...] | None = None) -> Iterator[Asked]:
        for request in requests:
            keys = tuple(image.key for image in request.images)
            self.model.asked.append(Asked(text=request.text, images=keys, choices=choices))
            yield self.model.asked[-1]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Result of one strategy on one random first-stage order.

    Attributes:
        quality: nDCG@10 with the relevance as gain.
        first: whether the best candidate is ranked first.
        calls: model calls.
        shown: candidates shown in all calls together.
        judgement: of the strategy.
    """

    quality: float
    first: bool
    calls: int
    shown: int
    judgement: Judgement


async def simulate(
    judge: Judge, count: int, *, seed: int = 0, budget: int | None = None, **noise: float
) -> Trial:
    """Rank `count` shuffled candidates of evenly spaced relevance with a strategy.

    Args:
        judge: the strategy.
        count: number of candidates.
        seed: of the first-stage order, the noise and the strategy.
        budget: limit of model calls.
        noise: `error`, `bias`, `intransitive` of `NoisyJudge`.
    """
    rng = Random(f"first stage {seed}")
    relevance = {f"{item}.png": (item + 0.5) / count for item in rng.sample(range(count), count)}
    noisy = NoisyJudge(relevance=relevance, seed=seed, **noise)
    role = noisy.role()
    task = Task(query="simulated", model=role, seed=seed, budget=budget)
    candidates = [Candidate(id=name, image=ImageRef(key=name, data=blank_image().data)) for name in relevance]
    judgement = await judge(task, candidates)
    gains = [relevance[name] for name in judgement.order]
    ideal = sorted(relevance.values(), reverse=True)
    return Trial(
        quality=_dcg(gains) / _dcg(ideal) if count else 1.0,
        first=gains[:1] == ideal[:1],
        calls=sum(int(usage["calls"]) for usage in judgement.usage),
        shown=sum(len(candidates_shown(asked)) for asked in role.model.asked),
        judgement=judgement,
    )


def candidates_shown(asked: Asked) -> tuple[str, ...]:
    """The keys of the candidates in a question; the first image is the reference, unless all are in one grid."""
    if asked.images[0].startswith(grid.KEY):
        cells = asked.images[0].removeprefix(grid.KEY).split(" ")
        return tuple(cell.rpartition("=")[2] for cell in cells)
    return asked.images[1:]


def match_prompt(text: str) -> tuple[str, dict[str, Any]]:
    """The step whose general prompt a text was filled from, and the values of its placeholders.

    Raises:
        ValueError: the text matches no step's prompt.
    """
    for step in STEPS:
        if match := _prompt_regex(step).fullmatch(text):
            return step, match.groupdict()
    raise ValueError(f"no prompt matches {text[:80]!r}")


@cache
def _prompt_regex(step: str) -> re.Pattern[str]:
    parts = re.split(r"\$(\w+)", load_prompt(step).text)
    seen: set[str] = set()
    for place in range(1, len(parts), 2):
        name = parts[place]
        parts[place] = f"(?P={name})" if name in seen else f"(?P<{name}>.*?)"
        seen.add(name)
    parts[::2] = [re.escape(part) for part in parts[::2]]
    return re.compile("".join(parts), flags=re.DOTALL)


def _cost(calls: int) -> dict[str, Any]:
    return {"calls": calls, "prompt_tokens": 0, "completion_tokens": 0, "image_prefills": 0, "seconds": 0.0}


def _dcg(gains: Sequence[float]) -> float:
    return float(sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:10], start=1)))

"""A judge model without a model: knows how good every candidate is, and errs as much as it is told to.

For tests and for studying strategies: quality against calls, in milliseconds.
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

from imagescope_agent.judges.base import Candidate, Judge, Judgement, Task
from imagescope_agent.mllms.role import Choice, ImageRef, Reply, Request, Role
from imagescope_agent.mllms.scripted import Asked, Scripted, ScriptedScorer
from imagescope_agent.prompting import STEPS, load_prompt

GRADES = ("poor", "partial", "good", "excellent")


@dataclass(kw_only=True)
class NoisyJudge:
    """Answers every question a strategy asks, from the candidates' true worth.

    Args:
        worth: picture key -> how good it is, 0 to 1.
        error: probability that a candidate is taken for any other worth, each time it is looked at; so a long
            list holds more errors than a pair.
        bias: probability that an answer names what is shown first, or its label.
        intransitive: share of the pairs that are always judged the wrong way round.
        seed: of all that.
    """

    worth: Mapping[str, float]
    error: float = 0.0
    bias: float = 0.0
    intransitive: float = 0.0
    seed: int = 0
    rng: Random = field(init=False, repr=False)
    wrong: dict[tuple[str, str], bool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)

    def role(self) -> Role:
        """The judge as a model that writes and gives probabilities."""
        return AtOnce("judge", ScriptedScorer(self.weights, self.reply))

    def weights(self, asked: Asked) -> list[float]:
        """The weights of the offered choices."""
        shown = asked.images[1:]
        if asked.choices == ("Yes", "No"):
            yes = self._worth(shown[0])
            return [yes + 1e-6, 1 - yes + 2e-6]  # never exactly even, which would be no answer
        labels = read_question(asked.text)[1]["labels"].split(", ")
        order = self._order(shown)
        worth = {labels[place]: 0.5**rank for rank, place in enumerate(order)}
        return [worth[choice] for choice in asked.choices or ()]

    def reply(self, asked: Asked) -> str:
        """The answer in words."""
        step, values = read_question(asked.text)
        shown = asked.images[1:]
        if step in ("evaluate", "grade"):
            worth = self._worth(shown[0])
            return ("Yes" if worth > 0.5 else "No") if step == "evaluate" else str(round(10 * worth))
        if step == "grades":
            return json.dumps({"grades": [round(10 * self._worth(key)) for key in shown]})
        order = self._order(shown)
        if step == "best":
            return str(values["labels"].split(", ")[order[0]])
        numbers = [place + 1 for place in order]
        if step == "order":
            return json.dumps({"order": numbers})
        evaluations = [
            {"image": place + 1, "grade": GRADES[min(3, int(4 * self.worth[key]))], "reason": ""}
            for place, key in enumerate(shown)
        ]
        return json.dumps({"components": ["all of it"], "evaluations": evaluations, "order": numbers})

    def _worth(self, key: str) -> float:
        return self.rng.random() if self.rng.random() < self.error else self.worth[key]

    def _order(self, shown: Sequence[str]) -> list[int]:
        """The places, best first, by what they look like and the pairs that are always judged wrongly."""
        if self.rng.random() < self.bias:
            return list(range(len(shown)))
        seen = [self._worth(key) for key in shown]
        if not self.intransitive:
            return sorted(range(len(shown)), key=lambda place: -seen[place])

        def wins(one: int, other: int) -> bool:
            return (seen[one] > seen[other]) != self._is_wrong(*sorted((shown[one], shown[other])))

        places = range(len(shown))
        won = [sum(wins(one, other) for other in places if shown[other] != shown[one]) for one in places]
        return sorted(places, key=lambda place: (-won[place], -seen[place]))

    def _is_wrong(self, first: str, second: str) -> bool:
        if (first, second) not in self.wrong:
            drawn = Random(f"{self.seed} {first} {second}").random()
            self.wrong[first, second] = drawn < self.intransitive
        return self.wrong[first, second]


class AtOnce(Role):
    """A scripted model asked without a chat model's machinery: far faster, and it remembers as much."""

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
        return [Reply(text=self.model.answer(asked), usage=_cost(1)) for asked in self._remember(requests)]

    async def choose_some(
        self,
        requests: Sequence[Request],
        choices: Sequence[str],
        groups: Sequence[int],
        *,
        max_tokens: int | None = None,
    ) -> Choice:
        """As `Role.choose_some`; without a scorer the replies are read as text."""
        if not isinstance(self.model, ScriptedScorer):
            return await super().choose_some(requests, choices, groups, max_tokens=max_tokens)
        weights = [self.model.scorer(asked) for asked in self._remember(requests, tuple(choices))]
        rows = [[float(weight) / sum(row) for weight in row] for row in weights]
        return Choice(probabilities=rows, usage=_cost(len(rows)))

    def _remember(
        self, requests: Sequence[Request], choices: tuple[str, ...] | None = None
    ) -> Iterator[Asked]:
        for request in requests:
            keys = tuple(image.key for image in request.images)
            self.model.asked.append(Asked(text=request.text, images=keys, choices=choices))
            yield self.model.asked[-1]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a strategy made of one random first-stage order.

    Args:
        quality: nDCG@10 of the order, 1 for the true one; the gain of a candidate is its worth.
        first: whether the best candidate came first.
        calls: model calls.
        shown: candidates shown in all of them together.
    """

    quality: float
    first: bool
    calls: int
    shown: int
    judgement: Judgement


async def simulate(
    judge: Judge, count: int, *, seed: int = 0, budget: int | None = None, **noise: float
) -> Trial:
    """Let a strategy order `count` candidates of evenly spread worth, shuffled.

    Args:
        judge: the strategy.
        count: k.
        seed: of the first-stage order, the noise and the strategy.
        budget: most calls.
        noise: `error`, `bias`, `intransitive` of `NoisyJudge`.
    """
    rng = Random(f"first stage {seed}")
    worth = {f"{item}.png": (item + 0.5) / count for item in rng.sample(range(count), count)}
    noisy = NoisyJudge(worth=worth, seed=seed, **noise)
    role = noisy.role()
    task = Task(query="simulated", model=role, seed=seed, budget=budget)
    candidates = [Candidate(id=name, image=ImageRef(key=name, data=b"\x89PNG")) for name in worth]
    judgement = await judge(task, candidates)
    gains = [worth[name] for name in judgement.order]
    ideal = sorted(worth.values(), reverse=True)
    return Trial(
        quality=_dcg(gains) / _dcg(ideal) if count else 1.0,
        first=gains[:1] == ideal[:1],
        calls=sum(int(usage["calls"]) for usage in judgement.usage),
        shown=sum(len(asked.images) - 1 for asked in role.model.asked),  # type: ignore[attr-defined, misc]
        judgement=judgement,
    )


def read_question(text: str) -> tuple[str, dict[str, Any]]:
    """Which step's general prompt a text was filled from, and with what.

    Raises:
        ValueError: none of the steps'.
    """
    for step in STEPS:
        if match := _pattern(step).fullmatch(text):
            return step, match.groupdict()
    raise ValueError(f"no prompt reads like {text[:80]!r}")


@cache
def _pattern(step: str) -> re.Pattern[str]:
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

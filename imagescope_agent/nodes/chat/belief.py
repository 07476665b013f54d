"""Belief over candidate images from verdicts, and expected information gain of questions in bits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from imagescope_agent.state import Predicate, Verdicts

DOUBT = 0.05  # a verdict is never believed more than 1 - DOUBT


def beliefs(ids: Sequence[str], predicates: Sequence[Predicate], verdicts: Verdicts) -> dict[str, float]:
    """P(target) of each image from its verdicts, with the prior rank^-0.5; sums to 1."""
    weights = {}
    for rank, name in enumerate(ids, start=1):
        weight = rank**-0.5
        for predicate in predicates:
            yes = believed(verdicts.get(name, {}).get(predicate["question"], 0.5))
            weight *= yes if predicate["expected"] == "Yes" else 1.0 - yes
        weights[name] = weight
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def information(questions: Sequence[str], belief: Mapping[str, float], verdicts: Verdicts) -> float:
    """Expected information gain of a question about the target image, in bits.

    I(image; answer) = H(sum_i b_i a_i) - sum_i b_i H(a_i), with belief b and the chances a_i of an image's answers.

    Args:
        questions: what the question asks for, of which an image satisfies one or none: "What colour is it?" asks
            for "Is it red?" and "Is it blue?". A single one is answered by yes or no.
        belief: by image.
        verdicts: P(Yes) by image and question; what an image was not asked counts as even.
    """
    chances = {
        name: answers([verdicts.get(name, {}).get(each, 0.5) for each in questions]) for name in belief
    }
    mean = [
        sum(belief[name] * row[place] for name, row in chances.items()) for place in range(len(questions) + 1)
    ]
    return entropy(mean) - sum(belief[name] * entropy(row) for name, row in chances.items())


def answers(verdicts: Sequence[float]) -> list[float]:
    """P(yes) of each of several exclusive questions for one image, then P(none); sums to 1."""
    yes = [believed(each) for each in verdicts]
    none = math.prod(1.0 - each for each in yes)
    chances = [*(none * each / (1.0 - each) for each in yes), none]
    return [each / sum(chances) for each in chances]


def entropy(parts: Iterable[float]) -> float:
    """Shannon entropy of a distribution, in bits."""
    return -sum(part * math.log2(part) for part in parts if part > 0.0)


def believed(probability: float) -> float:
    """A verdict clipped to [DOUBT, 1 - DOUBT], so that one wrong verdict cannot exclude an image."""
    return min(max(probability, DOUBT), 1.0 - DOUBT)

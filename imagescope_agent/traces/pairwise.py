"""Pairwise comparisons of a judge, read from the questions and answers of its model calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import networkx

from imagescope_agent.traces.trace import Trace, TraceQuestion

JUDGE = "judge"


@dataclass(frozen=True, kw_only=True)
class PairwiseComparison:
    """Two candidates compared by the judge: P(`first` is better), 0 to 1, and the number of the model call."""

    first: str
    second: str
    probability: float
    call: int


@lru_cache(maxsize=2)  # a page reads them for every rank, a comparison of two runs for both
def comparisons(trace: Trace) -> tuple[PairwiseComparison, ...]:
    """The comparisons in every question that offered one label for each of the candidates it showed.

    Of two candidates the answer is one comparison. Of more, the most probable one is compared with each of the others,
    which is all that such an answer says. An answer in words counts when it is one of the labels.
    """
    judged = set(trace.judgement["order"])
    found: list[PairwiseComparison] = []
    for call in trace.calls:
        for question in call.questions if call.role == JUDGE else ():
            shown = [name for name in question.images if name in judged]
            choices = _probabilities(question, call.choices, len(shown))
            if len(shown) < 2 or len(set(shown)) < len(shown) or not choices:
                continue
            best = 0 if len(shown) == 2 else max(range(len(shown)), key=lambda i: choices[i])
            found += [
                PairwiseComparison(
                    first=shown[best],
                    second=name,
                    probability=choices[best] / ((choices[best] + choices[i]) or 1.0),
                    call=call.number,
                )
                for i, name in enumerate(shown)
                if i != best
            ]
    return tuple(found)


def wins(trace: Trace) -> dict[tuple[str, str], list[float]]:
    """{(winner, loser): P(winner is better) of each comparison}; the mean is above 0.5, ties are left out."""
    probabilities: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in comparisons(trace):
        if (each.second, each.first) in probabilities:
            probabilities[each.second, each.first].append(1 - each.probability)
        else:
            probabilities[each.first, each.second].append(each.probability)
    results = {}
    for (first, second), values in probabilities.items():
        mean = sum(values) / len(values)
        if mean > 0.5:
            results[first, second] = values
        elif mean < 0.5:
            results[second, first] = [1 - value for value in values]
    return results


def cycles(trace: Trace) -> list[list[str]]:
    """Intransitive preferences: of each strongly connected component of `wins`, a shortest cycle through its best one.

    Each name beats the next one and the last beats the first. A judge that never contradicts itself has none.
    """
    beaten: networkx.DiGraph[str] = networkx.DiGraph(list(wins(trace)))
    found = []
    for component in networkx.strongly_connected_components(beaten):
        if len(component) > 1:
            start = min(component, key=lambda name: _rank(trace, name))
            inside = beaten.subgraph(component)
            paths = [networkx.shortest_path(inside, name, start) for name in sorted(inside.successors(start))]
            found.append([start, *min(paths, key=len)[:-1]])
    return sorted(found, key=lambda cycle: _rank(trace, cycle[0]))


def _rank(trace: Trace, name: str) -> tuple[int, str]:
    return (trace.ranking.index(name) if name in trace.ranking else len(trace.ranking), name)


def _probabilities(question: TraceQuestion, choices: Sequence[str], shown: int) -> list[float] | None:
    if isinstance(question.answer, list):
        return question.answer if len(choices) == shown == len(question.answer) else None
    labels = [chr(ord("A") + i) for i in range(min(shown, 26))]
    answer = (question.answer or "").strip().rstrip(".")
    return [float(label == answer) for label in labels] if answer in labels else None

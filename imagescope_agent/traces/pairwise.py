"""Who beat whom: the comparisons of a judge, read from what it was asked and what it answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx

if TYPE_CHECKING:
    from imagescope_agent.traces.trace import Trace, TraceQuestion

JUDGE = "judge"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two candidates compared by the judge: how probable it held the first to be the better one, 0 to 1."""

    first: str
    second: str
    probability: float
    call: int


def duels(trace: Trace) -> list[Comparison]:
    """Every question that offered one label for each of the candidates it showed.

    Of two candidates the answer is the duel. Of more, the most probable one is compared with each of the others,
    which is all that such an answer says. An answer in words counts when it is one of the labels.
    """
    judged, found = set(trace.judgement["order"]), []
    for call in trace.calls:
        for question in call.questions if call.role == JUDGE else ():
            shown = [name for name in question.images if name in judged]
            chances = _chances(question, call.choices, len(shown))
            if len(shown) < 2 or len(set(shown)) < len(shown) or not chances:
                continue
            best = 0 if len(shown) == 2 else max(range(len(shown)), key=lambda place: chances[place])
            for place, name in enumerate(shown):
                if place != best:
                    share = chances[best] / ((chances[best] + chances[place]) or 1.0)
                    found.append(
                        Comparison(first=shown[best], second=name, probability=share, call=call.number)
                    )
    return found


def duel_results(trace: Trace) -> dict[tuple[str, str], list[float]]:
    """{(winner, loser): P(winner is better) of each comparison}; the mean is above 0.5."""
    chances: dict[tuple[str, str], list[float]] = defaultdict(list)
    for duel in trace.duels:
        if (duel.second, duel.first) in chances:
            chances[duel.second, duel.first].append(1 - duel.probability)
        else:
            chances[duel.first, duel.second].append(duel.probability)
    results = {}
    for (first, second), values in chances.items():
        mean = sum(values) / len(values)
        if mean > 0.5:
            results[first, second] = values
        elif mean < 0.5:
            results[second, first] = [1 - value for value in values]
    return results


def cycles(trace: Trace) -> list[list[str]]:
    """Of each group of candidates that beat each other in a circle, a shortest circle through its best one.

    Each name beats the next one and the last beats the first. None is found of a judge that never contradicts itself.
    """
    beaten: networkx.DiGraph[str] = networkx.DiGraph(list(duel_results(trace)))
    found = []
    for group in networkx.strongly_connected_components(beaten):
        if len(group) > 1:
            start, inside = min(group, key=lambda name: _rank(trace, name)), beaten.subgraph(group)
            ways = [networkx.shortest_path(inside, name, start) for name in sorted(inside.successors(start))]
            found.append([start, *min(ways, key=len)[:-1]])
    return sorted(found, key=lambda circle: _rank(trace, circle[0]))


def _rank(trace: Trace, name: str) -> tuple[int, str]:
    return (trace.ranking.index(name) if name in trace.ranking else len(trace.ranking), name)


def _chances(question: TraceQuestion, choices: Sequence[str], shown: int) -> list[float] | None:
    if isinstance(question.answer, list):
        return question.answer if len(choices) == shown == len(question.answer) else None
    labels = [chr(ord("A") + place) for place in range(min(shown, 26))]
    said = (question.answer or "").strip().rstrip(".")
    return [float(label == said) for label in labels] if said in labels else None

"""View model of the pages: a trace as coordinates, rows and shades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from imagescope_agent.traces.pairwise import comparisons, cycles, wins
from imagescope_agent.traces.trace import ModelCall, Trace

MOST_LINES = 30  # candidates drawn in a bump chart
MOST_ON_RING = 12  # candidates between which every comparison is drawn
MOST_ANSWERS = 6000  # of one call, shown
MOST_CALLS = 12  # of one step, before the rest is collapsed
PITCH = 30  # pixels between two ranks
FIRST, LAST = 9.0, 58.0  # per cent of the chart's width: where the first and the last stage stand


def bump_chart(stages: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """Each candidate's rank after each stage: x in per cent of the width, y in pixels.

    Only the last stage's best are drawn; where they were deeper than that, they begin on the bottom row.
    """
    final = list(stages[-1][1]) if stages else []
    shown, depth = final[:MOST_LINES], min(len(final), MOST_LINES)
    step = (LAST - FIRST) / max(len(stages) - 1, 1)
    places = [{name: rank for rank, name in enumerate(ranking, start=1)} for _, ranking in stages]
    lines: list[dict[str, Any]] = []
    for name in shown:
        known = [(i, ranks[name]) for i, ranks in enumerate(places) if name in ranks]
        points = [
            (round(FIRST + step * i, 2), PITCH * (min(rank, depth + 1) - 0.5), rank) for i, rank in known
        ]
        path = ", ".join(f"{rank} after {stages[i][0]}" for i, rank in known)
        lines.append(
            {
                "id": name,
                "points": points,
                "gain": known[0][1] - known[-1][1],
                "told": f"{name}: rank {path}",
            }
        )
    return {
        "lines": lines,
        "stages": [(node, round(FIRST + step * i, 2)) for i, (node, _) in enumerate(stages)],
        "height": PITCH * (depth + any(p[2] > depth for line in lines for p in line["points"])) + 4,
        "left_out": len(final) - len(shown),
    }


def shade(probability: float) -> int:
    """A probability as one of 21 shades."""
    return round(20 * min(max(probability, 0.0), 1.0))


def matrix(trace: Trace) -> list[dict[str, Any]]:
    """A row per verified candidate: P(expected answer) of each predicate, 0 to 1, None if unknown."""
    rows = []
    for name in trace.ranking:
        answers = trace.verdicts.get(name)
        if not answers:
            continue
        cells = []
        for each in trace.predicates:
            yes = answers.get(each["question"])
            cells.append(None if yes is None else yes if each["expected"] == "Yes" else 1 - yes)
        rows.append({"id": name, "cells": cells, "matches": trace.matches.get(name)})
    return rows


def questions(trace: Trace, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The predicates, each with the number of rows of the matrix that answer as expected."""
    return [
        {**each, "holds": sum((row["cells"][i] or 0.0) > 0.5 for row in rows)}
        for i, each in enumerate(trace.predicates)
    ]


def ring(trace: Trace) -> dict[str, Any]:
    """The judge's comparisons: candidates on a circle, an arrow from winner to loser, those of a cycle marked.

    Between many candidates only arrows against the final order are drawn.
    """
    results, contradictions = wins(trace), cycles(trace)
    inside = {pair for cycle in contradictions for pair in zip(cycle, cycle[1:] + cycle[:1], strict=True)}
    ranks = {name: rank for rank, name in enumerate(trace.ranking)}
    pairs: list[dict[str, Any]] = []
    for (winner, loser), probabilities in results.items():
        pairs.append(
            {
                "winner": winner,
                "loser": loser,
                "chances": probabilities,
                "chance": sum(probabilities) / len(probabilities),
                "cycle": (winner, loser) in inside,
                "upset": ranks.get(winner, 0) > ranks.get(loser, 0),
            }
        )
    names = sorted({name for pair in results for name in pair}, key=lambda name: ranks.get(name, 0))
    crowded = len(names) > MOST_ON_RING
    drawn = [pair for pair in pairs if not crowded or pair["cycle"] or pair["upset"]]
    if crowded:
        names = [name for name in names if any(name in (pair["winner"], pair["loser"]) for pair in drawn)]
    places = _circle(names)
    return {
        "places": places,
        "arrows": [
            {**pair, "line": _between(places[pair["winner"]], places[pair["loser"]])} for pair in drawn
        ],
        "pairs": sorted(pairs, key=lambda pair: (ranks.get(pair["winner"], 0), ranks.get(pair["loser"], 0))),
        "cycles": contradictions,
        "crowded": crowded,
        "compared": len(comparisons(trace)),
    }


def timeline(trace: Trace) -> list[dict[str, Any]]:
    """The steps and their calls, as per cent of the run's time, with their questions and costs."""
    if not trace.steps:
        return []
    first, span = trace.steps[0].started, max(_last_moment(trace) - trace.steps[0].started, 1e-6)

    def place(started: float, seconds: float) -> dict[str, float]:
        left = min(max(100 * (started - first) / span, 0.0), 99.5)
        return {"left": left, "width": min(max(0.5, 100 * seconds / span), 100 - left)}

    rows = []
    for step in trace.steps:
        seconds = None if step.ended is None else step.ended - step.started
        calls = [
            {**_call(call), **place(call.started, float(call.usage.get("seconds", 0.0)))}
            for call in trace.calls
            if call.span == step.number
        ]
        asked, tokens = sum(each["asked"] for each in calls), sum(each["tokens"] for each in calls)
        prefills = sum(each["prefills"] for each in calls)
        rows.append(
            {"step": step, "seconds": seconds, **place(step.started, seconds or 0.0), "calls": calls}
            | {"asked": asked, "tokens": tokens, "prefills": prefills}
        )
    return rows


def duration(trace: Trace) -> float:
    """Seconds from the start of the first step to the last event of a step, pauses included."""
    return _last_moment(trace) - trace.steps[0].started if trace.steps else 0.0


def _last_moment(trace: Trace) -> float:
    return max(step.ended or step.started for step in trace.steps)


def _call(call: ModelCall) -> dict[str, Any]:
    """A call with its questions grouped by text: a prompt asked about many images is shown once."""
    shown = call.questions[:MOST_ANSWERS]
    asked: dict[str, list[Any]] = {}
    for question in shown:
        asked.setdefault(question.text, []).append(question)
    return {
        "call": call,
        "asked": int(call.usage.get("calls", len(call.questions))),
        "tokens": call.cost.tokens,
        "prefills": call.cost.image_prefills,
        "prompts": asked,
        "left_out": len(call.questions) - len(shown),
    }


def _circle(names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Places on a circle of 150 around (200, 190), clockwise from the top."""
    turn = 2 * math.pi / max(len(names), 1)
    return {
        name: (round(200 + 150 * math.sin(i * turn), 1), round(190 - 150 * math.cos(i * turn), 1))
        for i, name in enumerate(names)
    }


def _between(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float, float, float]:
    """A line between two places that stops before their pictures."""
    (x1, y1), (x2, y2) = start, end
    shrink = 30 / (math.hypot(x2 - x1, y2 - y1) or 1)
    dx, dy = (x2 - x1) * shrink, (y2 - y1) * shrink
    return (round(x1 + dx, 1), round(y1 + dy, 1), round(x2 - dx, 1), round(y2 - dy, 1))

"""A trace as one self-contained page: no network, pictures as data URIs, text from data escaped."""

from __future__ import annotations

import base64
import io
import math
import time
from collections.abc import Iterable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from PIL import Image

from imagescope_agent.collection.images import ImageProblem, open_image
from imagescope_agent.traces.graph import cycles, duel_results

if TYPE_CHECKING:
    from imagescope_agent.traces.trace import Call, Trace

THUMBNAIL = 72  # pixels, longest side
MOST_LINES = 60  # candidates drawn in the bump chart
MOST_QUESTIONS = 60  # of one call, written out


def render(trace: Trace) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    template = environment.from_string((files(__package__) / "page.html.j2").read_text(encoding="utf-8"))
    names = trace.ranking
    return template.render(
        trace=trace,
        started=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trace.head["started"])),
        thumbs=thumbnails(trace, [*names, trace.head.get("reference") or ""]),
        chart=bump_chart(trace),
        matrix=matrix(trace),
        ring=ring(trace),
        steps=timeline(trace),
        ranks={name: rank for rank, name in enumerate(names, start=1)},
        calls=sum(trace.usage["calls"].values()),
        seconds=sum(trace.usage["seconds"].values()),
    )


def thumbnails(trace: Trace, names: Iterable[str]) -> dict[str, str]:
    """{id: data URI} of the pictures that still lie where they were."""
    found = {}
    for name in dict.fromkeys(filter(None, names)):
        try:
            picture = open_image(trace.path(name))
        except ImageProblem:
            continue  # the page shows an empty frame with the id
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=70, method=2)
        found[name] = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return found


def bump_chart(trace: Trace) -> dict[str, Any]:
    """Each candidate's rank after each stage, as coordinates: x by stage, y by rank."""
    stages, shown = trace.stages, trace.ranking[:MOST_LINES]
    lines: list[dict[str, Any]] = []
    for name in shown:
        ranks = [ranking.index(name) + 1 if name in ranking else None for _, ranking in stages]
        points = [(110 + 150 * i, 14 + 22 * (rank - 1)) for i, rank in enumerate(ranks) if rank]
        known = [rank for rank in ranks if rank]
        lines.append({"id": name, "points": points, "ranks": known, "gain": known[0] - known[-1]})
    deepest = max((y for line in lines for _, y in line["points"]), default=14)
    return {
        "lines": lines,
        "stages": [node for node, _ in stages],
        "width": 150 * max(len(stages) - 1, 0) + 330,
        "height": deepest + 20,
        "left_out": len(trace.ranking) - len(shown),
    }


def matrix(trace: Trace) -> list[dict[str, Any]]:
    """A row for each verified candidate: what each predicate's answer says for it, 0 to 1, None if unknown."""
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


def ring(trace: Trace) -> dict[str, Any]:
    """The judge's duels: candidates on a circle, an arrow from winner to loser, those of a cycle marked."""
    results, circles = duel_results(trace), cycles(trace)
    names = [name for name in trace.ranking if any(name in pair for pair in results)]
    turn = 2 * math.pi / max(len(names), 1)
    places = {
        name: (170 + 125 * math.sin(i * turn), 160 - 125 * math.cos(i * turn)) for i, name in enumerate(names)
    }
    arrows = []
    for (winner, loser), chances in results.items():
        (x1, y1), (x2, y2) = places[winner], places[loser]
        shrink = 26 / (math.hypot(x2 - x1, y2 - y1) or 1)
        dx, dy = (x2 - x1) * shrink, (y2 - y1) * shrink
        arrows.append(
            {
                "line": (x1 + dx, y1 + dy, x2 - dx, y2 - dy),
                "cycle": any(winner in group and loser in group for group in circles),
                "winner": winner,
                "loser": loser,
                "chance": sum(chances) / len(chances),
                "comparisons": len(chances),
            }
        )
    return {"places": places, "arrows": arrows, "cycles": circles}


def timeline(trace: Trace) -> list[dict[str, Any]]:
    """The steps with their share of the run's time, 0 to 100, and their calls."""
    if not trace.steps:
        return []
    first = trace.steps[0].started
    last = max(step.ended or step.started for step in trace.steps)
    span = max(last - first, 1e-6)
    rows = []
    for step in trace.steps:
        seconds = None if step.ended is None else step.ended - step.started
        calls = [_call(call) for call in trace.calls if call.span == step.number]
        rows.append(
            {
                "step": step,
                "seconds": seconds,
                "left": 100 * (step.started - first) / span,
                "width": max(0.4, 100 * (seconds or 0.0) / span),
                "calls": calls,
            }
        )
    return rows


def _call(call: Call) -> dict[str, Any]:
    usage = call.usage
    return {
        "call": call,
        "asked": int(usage.get("calls", len(call.questions))),
        "tokens": (int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))),
        "prefills": int(usage.get("image_prefills", 0)),
        "shown": call.questions[:MOST_QUESTIONS],
        "left_out": max(0, len(call.questions) - MOST_QUESTIONS),
    }

"""A trace as one self-contained page: no network, pictures as data URIs, text from data escaped."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from imagescope_agent.collection.images import ImageProblem, digest, open_image
from imagescope_agent.errors import BadInput
from imagescope_agent.traces import view

if TYPE_CHECKING:
    from imagescope_agent.traces.compare import Comparison
    from imagescope_agent.traces.trace import Trace

THUMBNAIL = 96  # pixels, longest side
GRAINS = ("core", "enhanced", "full")


@dataclass(frozen=True, kw_only=True)
class Album:
    """Pictures as data URIs, and by id which one shows it."""

    pictures: list[str]
    places: dict[str, int]


def render(trace: Trace) -> str:
    """The page as HTML."""
    names, rows = trace.ranking, view.matrix(trace)
    return _environment().get_template("page.html.j2").render(
        trace=trace,
        story=story(trace),
        started=_moment(trace),
        album=album(trace, [*names, trace.reference]),
        rows=explained(trace),
        ranks={name: rank for rank, name in enumerate(names, start=1)},
        grains=list(dict.fromkeys(filter(None, (trace.intent.get(grain) for grain in GRAINS)))),
        chart=view.bump_chart(trace.stages),
        matrix=rows,
        checks=view.questions(trace, rows),
        ring=view.ring(trace),
        steps=view.timeline(trace),
        most_calls=view.MOST_CALLS,
        calls=sum(trace.usage["calls"].values()),
        seconds=view.duration(trace),
        setup={title: dict(trace.head.get(title) or {}) for title in ("settings", "weights", "versions")},
    )  # fmt: skip


def render_comparison(comparison: Comparison) -> str:
    """Two runs side by side as HTML."""
    both = (comparison.before, comparison.after)
    stages = [(title, trace.ranking) for title, trace in zip(("first run", "second run"), both, strict=True)]
    return _environment().get_template("compare.html.j2").render(
        comparison=comparison,
        both=both,
        started=[_moment(trace) for trace in both],
        seconds=[view.duration(trace) for trace in both],
        album=album(comparison.after, [name for trace in both for name in (*trace.ranking, trace.reference)]),
        chart=view.bump_chart(stages),
    )  # fmt: skip


def story(trace: Trace) -> str:
    """What happened, in a sentence or two that need no knowledge of the method."""
    parts = []
    if trace.scores:
        parts.append(f"{len(trace.scores)} candidates were found in the collection")
    if trace.matches and trace.predicates:
        parts.append(
            f"the best {len(trace.matches)} were checked with {len(trace.predicates)} questions each"
        )
    if order := trace.judgement["order"]:
        parts.append(f"a judge looked again at the best {len(order)}")
    told = ", ".join(parts)
    first = f"{told[0].upper()}{told[1:]}. " if told else ""
    asked = sum(trace.usage["calls"].values())
    return f"{first}That took {asked} questions to a model and {view.duration(trace):.1f} seconds."


def explained(trace: Trace) -> list[dict[str, Any]]:
    """Every ranked candidate with its scores, its first rank, and why it stands above the next."""
    first = {name: rank for rank, name in enumerate(trace.stages[0][1], start=1)} if trace.stages else {}
    rows = []
    for rank, name in enumerate(trace.ranking, start=1):
        rows.append(
            {
                "rank": rank,
                "id": name,
                "was": first.get(name, rank),
                "retrieve": trace.scores.get(name),
                "matches": trace.matches.get(name),
                "judge": trace.judgement["scores"].get(name),
                "why": _why(trace, rank),
            }
        )
    return rows


def _why(trace: Trace, rank: int) -> tuple[str, ...]:
    if rank == len(trace.ranking):
        return ("It is the last one.",)
    try:
        return trace.why(trace.ranking[rank - 1], trace.ranking[rank]).sentences
    except BadInput as error:  # a stranger's ranking may name an image twice
        return (str(error),)


def album(trace: Trace, names: Iterable[str | None]) -> Album:
    """The pictures that still are what the run saw; the page shows an empty frame for the others.

    A trace may be a stranger's: whatever folder and names it holds, a file is shown for its content alone.
    """
    pictures: list[str] = []
    places: dict[str, int] = {}
    for name in dict.fromkeys(filter(None, names)):
        try:
            path = trace.path(name)
            if digest(path) != trace.keys.get(name):
                continue
            picture = open_image(path)
        except (ImageProblem, OSError, ValueError, RuntimeError):
            continue
        picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=75, method=2)
        places[name] = len(pictures)
        pictures.append("data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"))
    return Album(pictures=pictures, places=places)


def _moment(trace: Trace) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trace.head["started"]))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("imagescope_agent.traces", ""), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["shade"] = view.shade
    return environment

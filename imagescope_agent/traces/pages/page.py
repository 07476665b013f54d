"""Render a trace, or two, as one self-contained HTML page: images as data URIs, text escaped, no network."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, TemplateError

from imagescope_agent.common.html_templates import html_environment
from imagescope_agent.common.thumbnails import to_data_uri
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.images import ImageProblem, digest, open_image
from imagescope_agent.traces.compare import Comparison
from imagescope_agent.traces.explain import explain
from imagescope_agent.traces.pages import page_data as view
from imagescope_agent.traces.trace import Trace

THUMBNAIL = 96  # pixels, longest side
GRAINS = ("core", "enhanced", "full")


@dataclass(frozen=True, kw_only=True)
class Thumbnails:
    """Images as data URIs, and by id the index of the one that shows it."""

    pictures: list[str]
    places: dict[str, int]


def render(trace: Trace) -> str:
    """The run as an HTML page.

    Raises:
        ValueError and what else values of a wrong kind cause: the trace is damaged.
    """
    names, rows = trace.ranking, view.matrix(trace)
    return _page(
        "page.html.j2",
        trace=trace,
        story=story(trace),
        started=_moment(trace),
        album=thumbnails(trace, [*names, *trace.references, *trace.unlike]),
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
    """Two runs side by side as an HTML page; raises as `render`."""
    both = (comparison.before, comparison.after)
    stages = [(title, trace.ranking) for title, trace in zip(("first run", "second run"), both, strict=True)]
    return _page(
        "compare.html.j2",
        comparison=comparison,
        both=both,
        started=[_moment(trace) for trace in both],
        seconds=[view.duration(trace) for trace in both],
        album=thumbnails(comparison.after, [name for trace in both for name in (*trace.ranking, *trace.references)]),
        chart=view.bump_chart(stages),
    )  # fmt: skip


def story(trace: Trace) -> str:
    """A summary of the run in a sentence or two, for readers who do not know the method."""
    parts = []
    if trace.scores:
        parts.append(f"{len(trace.scores)} candidates were found in the collection")
    if trace.matches and trace.predicates:
        parts.append(
            f"the best {len(trace.matches)} were checked with {len(trace.predicates)} questions each"
        )
    if order := trace.judgement["order"]:
        parts.append(f"a judge looked again at the best {len(order)}")
    steps = ", ".join(parts)
    first = f"{steps[0].upper()}{steps[1:]}. " if steps else ""
    asked = sum(trace.usage["calls"].values())
    return f"{first}That took {asked} questions to a model and {view.duration(trace):.1f} seconds."


def explained(trace: Trace) -> list[dict[str, Any]]:
    """Every ranked candidate with its scores, its first rank, and why it ranks above the next."""
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
        return explain(trace, trace.ranking[rank - 1], trace.ranking[rank]).sentences
    except BadInput as error:  # a ranking from elsewhere may name an image twice
        return (str(error),)


def thumbnails(trace: Trace, names: Iterable[str | None]) -> Thumbnails:
    """The images whose files are still those of the run; the page shows an empty frame for the others.

    A trace is untrusted: whatever folder and names it holds, a file is shown only if its sha256 is the recorded one.
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
        places[name] = len(pictures)
        pictures.append(to_data_uri(picture, THUMBNAIL))
    return Thumbnails(pictures=pictures, places=places)


def _page(template: str, **values: Any) -> str:
    try:
        return _environment().get_template(template).render(values)
    except TemplateError as error:  # Jinja's word for a value that is not there, or of another kind
        raise ValueError(str(error)) from error


def _moment(trace: Trace) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(trace.head["started"]))


@cache
def _environment() -> Environment:
    environment = html_environment("imagescope_agent.traces.pages")
    environment.globals["shade"] = view.shade
    return environment

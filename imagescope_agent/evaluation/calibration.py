"""Calibrate how probable it is that a first place fulfils its query: fit `nodes.fulfilment` on judged queries."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.confidence import (
    confidence_of,
    even_threshold,
)
from imagescope_agent.evaluation.datasets.annotations import read_jsonl, require_field, require_strings
from imagescope_agent.nodes.fulfilment import Fulfilment, evidence, fit
from imagescope_agent.registry import load_graph
from imagescope_agent.services import open_services, profile_of
from imagescope_agent.settings import Settings

CONCURRENCY = 8


@dataclass(frozen=True, kw_only=True)
class JudgedQuery:
    """A query and the ids of all images that fulfil it; none where nothing does."""

    text: str
    reference: str | None = None
    relevant: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The evidence of a query's first place (see `nodes.fulfilment.evidence`), and whether it fulfils the query.

    `answerable`: whether any image does.
    """

    features: tuple[float, ...]
    right: bool
    answerable: bool


async def judge_queries(
    graph: Any, queries: Sequence[JudgedQuery], settings: Settings, *, name: str = "searching"
) -> list[Judged]:
    """Ask a compiled graph; queries of which it verified nothing are left out.

    Raises:
        BackendUnavailable: a model does not answer.
    """
    room = asyncio.Semaphore(CONCURRENCY)  # models merge the requests of searches into batches
    bar = tqdm(total=len(queries), desc=name, unit="query", disable=None)

    async def ask(query: JudgedQuery) -> Judged | None:
        async with room:
            given = {"query": query.text, "reference": query.reference}
            state = await graph.ainvoke(given, context=settings)
            bar.update()
        known = evidence(state)
        if known is None:
            return None
        right = state["ranking"][0] in query.relevant
        return Judged(features=known, right=right, answerable=bool(query.relevant))

    with bar:
        found = await asyncio.gather(*map(ask, queries))
    return [each for each in found if each is not None]


def calibrate(
    collection: Path, queries: Path, out: Path, *, profile: str | None = None, graph: str | None = None
) -> dict[str, Any]:
    """Ask the judged queries of a file about a collection, fit, and write what a profile names as `fulfilment`.

    Args:
        collection: an indexed folder.
        queries: see `read_judged`.
        out: file of the calibration.
        profile: which models; None for those that made the index.
        graph: which system; None for the profile's own.

    Returns:
        {"measured": see `confidence_of`, on the same queries; "left_out": queries of which nothing was verified}.

    Raises:
        BadInput: no index, no such file, a graph that verifies nothing, or all first places are right or none is.
        BackendUnavailable: a model does not answer.
    """
    services = open_services(profile or profile_of(collection), collection)
    judged = read_judged(queries, services.collection.ids)
    compiled = load_graph(graph or services.graph)(services)
    rows = asyncio.run(judge_queries(compiled, judged, Settings.load(services.settings)))
    if not rows:
        raise BadInput(
            f"the graph {graph or services.graph!r} verified nothing; give one that does with --graph"
        )
    model = calibrated(rows, fitted_on=f"judged queries of {queries.name}, profile {services.profile}")
    write_atomic(out, model.to_json() + "\n")
    return {"measured": measured(model, rows), "left_out": len(judged) - len(rows)}


def read_judged(path: Path, ids: Sequence[str]) -> list[JudgedQuery]:
    """Judged queries: JSON lines of `text`, `relevant` (ids, [] where nothing fits) and, if any, `image`.

    Raises:
        BadInput: a line is no such query or has other keys, or names an image that the collection does not have.
    """
    known, found = frozenset(ids), []
    for number, record in read_jsonl(path):
        place = f"{path}, line {number}"
        if others := record.keys() - {"text", "image", "relevant"}:
            raise BadInput(
                f"{place}: {min(others)!r} is not understood; a line has text, relevant and, if any, one image"
            )
        relevant = frozenset(require_strings(record, "relevant", place))
        if unknown := relevant - known:
            raise BadInput(
                f"{place}: the collection has no image {min(unknown)!r}; give ids as searches show them"
            )
        reference = record.get("image")
        if reference is not None and not isinstance(reference, str):
            raise BadInput(f"{place}: image is no text; give an id or a file")
        text = require_field(record, "text", str, place)
        found.append(JudgedQuery(text=text, reference=reference, relevant=relevant))
    return found


def calibrated(rows: Sequence[Judged], *, fitted_on: str) -> Fulfilment:
    """The model of judged first places, with the threshold of `even_threshold`.

    Raises:
        BadInput: all of them are right, or none is.
    """
    model = fit([(row.features, row.right) for row in rows], fitted_on=fitted_on)
    chance, right = _arrays(model, rows)
    return replace(model, threshold=even_threshold(chance, right).threshold)


def measured(model: Fulfilment, rows: Sequence[Judged]) -> dict[str, Any]:
    """How far a model can be trusted on judged first places: see `confidence_of`, and the threshold.

    Raises:
        BadInput: there are none.
    """
    chance, right = _arrays(model, rows)
    stated = list(zip(chance.tolist(), right.tolist(), strict=True))
    found = confidence_of(stated, [each >= model.threshold for each, _ in stated])
    return {**found, "threshold": round(model.threshold, 4)}


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Measurements by name as a Markdown table."""
    from imagescope_agent.evaluation.reporting.tables import markdown_table

    columns = ("queries", "right", "ECE", "AURC", "threshold", "false accept", "false reject")
    return markdown_table(
        ["", *columns], [[name, *(f"{row[column]:g}" for column in columns)] for name, row in rows.items()]
    )


def _arrays(model: Fulfilment, rows: Sequence[Judged]) -> tuple[Any, Any]:
    chance = np.asarray([model.chance(row.features) for row in rows], dtype=float)
    return chance, np.asarray([row.right for row in rows], dtype=bool)

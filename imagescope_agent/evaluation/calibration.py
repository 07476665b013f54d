"""Calibrate how probable it is that a first place fulfils its query: fit `nodes.fulfilment` on judged queries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.evaluation.confidence import (
    acceptance,
    area_under_risk_coverage,
    expected_calibration_error,
    threshold_at_false_reject,
)
from imagescope_agent.nodes.fulfilment import Fulfilment, evidence, fit
from imagescope_agent.settings import Settings

CONCURRENCY = 8
MOST_REJECTED = 0.05  # share of the right first places that the fitted threshold may reject


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


def calibrated(rows: Sequence[Judged], *, fitted_on: str) -> Fulfilment:
    """The model of judged first places, with the highest threshold that rejects at most `MOST_REJECTED` of the right.

    Raises:
        BadInput: all of them are right, or none is.
    """
    model = fit([(row.features, row.right) for row in rows], fitted_on=fitted_on)
    chance, right = _arrays(model, rows)
    return replace(model, threshold=threshold_at_false_reject(chance, right, MOST_REJECTED).threshold)


def measured(model: Fulfilment, rows: Sequence[Judged]) -> dict[str, Any]:
    """How far a model can be trusted on judged first places: see `confidence_of`.

    Raises:
        BadInput: there are none.
    """
    chance, right = _arrays(model, rows)
    return confidence_of(zip(chance.tolist(), right.tolist(), strict=True), model.threshold)


def confidence_of(stated: Iterable[tuple[float, bool]], threshold: float) -> dict[str, Any]:
    """{"queries", "right", "ECE", "AURC", "threshold", "false accept", "false reject"}; shares are from 0 to 1.

    Args:
        stated: of each query the probability and whether its first place is right.
        threshold: below it a system says that nothing fits.

    Raises:
        BadInput: there are none.
    """
    pairs = list(stated)
    chance = np.asarray([each for each, _ in pairs], dtype=float)
    right = np.asarray([each for _, each in pairs], dtype=bool)
    at = acceptance(chance, right, threshold)
    return {
        "queries": len(pairs),
        "right": int(right.sum()),
        "ECE": round(expected_calibration_error(chance, right), 4),
        "AURC": round(area_under_risk_coverage(chance, right), 4),
        "threshold": round(threshold, 4),
        "false accept": round(at.false_accept, 4),
        "false reject": round(at.false_reject, 4),
    }


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

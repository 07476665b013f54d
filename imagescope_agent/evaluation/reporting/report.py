"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from imagescope_agent.common.html_templates import html_environment
from imagescope_agent.common.thumbnails import to_data_uri
from imagescope_agent.errors import ImageScopeError
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery, Gallery
from imagescope_agent.evaluation.reporting import published, tables

CASES = 6  # of the best and of the worst
FAILURES = 20
SHOWN = 6  # images of a ranking
SIDE = 160  # pixels of a thumbnail


def render_report(
    metrics: Mapping[str, Any], records: Sequence[Mapping[str, Any]], queries: Sequence[BenchmarkQuery],
    galleries: Mapping[str, Gallery],
) -> str:  # fmt: skip
    """The page as HTML: scores by stage and kind of query, published results, cost, best and worst cases."""
    answered = [(q, r) for q, r in zip(queries, records, strict=True) if r["failed"] is None and q.relevant]
    ordered = sorted(answered, key=lambda pair: pair[1]["values"]["final"]["rank"] or float("inf"))
    worst = [pair for pair in reversed(ordered) if pair[1]["values"]["final"]["rank"] != 1][:CASES]
    gained = sorted(answered, key=_rank_change)[:CASES]
    best = [pair for pair in gained if _rank_change(pair) < 0] or [
        p for p in ordered if p[1]["values"]["final"]["rank"] == 1
    ][:CASES]
    groups = [("Best cases", best), ("Worst cases", worst)]
    shown = [table for table in tables.by_stage(metrics["metrics"]) if table["columns"]]
    return _template().render(
        title=f"{metrics['dataset']} ({metrics['split']}): {metrics['graph']}",
        metrics=metrics,
        tables=shown,
        cost=tables.cost(metrics["usage"]),
        failures=[(r["qid"], r["text"], r["failed"]) for r in records if r["failed"] is not None][:FAILURES],
        published=published.rows(metrics),
        usage=[(name, _number(value)) for name, value in _flattened(metrics["usage"])],
        groups=[(heading, [_case(q, r, galleries) for q, r in pairs]) for heading, pairs in groups],
        facts=[
            (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for key, value in metrics.items()
            if key not in ("metrics", "usage")
        ],
    )


@cache
def _template() -> jinja2.Template:
    return html_environment("imagescope_agent.evaluation.reporting").get_template("report.html.j2")


def _rank_change(pair: tuple[BenchmarkQuery, Mapping[str, Any]]) -> float:
    """Ranks that the first relevant image lost from the first stage to the last; negative = gained."""
    values = pair[1]["values"]
    first = next(iter(values.values()))["rank"]
    last = values["final"]["rank"]
    return (last or 1000) - (first or 1000)


def _case(
    query: BenchmarkQuery, record: Mapping[str, Any], galleries: Mapping[str, Gallery]
) -> dict[str, Any]:
    gallery = galleries.get(query.gallery)
    targets = {query.target} if query.target else set(query.relevant)
    ranked = record["stages"]["final"][:SHOWN]
    shown = [("reference", "reference", query.reference)] if query.reference else []
    shown += [
        ("right" if image in targets else "", str(rank), image) for rank, image in enumerate(ranked, start=1)
    ]
    if not targets & set(ranked):
        shown.append(("right", "wanted", query.target or query.relevant[0]))
    notes = ", ".join(f"{note['step']}: {note['kind']}" for note in record["notes"][:3])
    return {
        "text": query.text,
        "qid": query.qid,
        "rank": record["values"]["final"]["rank"],
        "notes": notes,
        "pictures": [
            {"kind": kind, "label": label, "id": image, "data": _thumbnail(gallery, image)}
            for kind, label, image in shown
        ],
    }


def _thumbnail(gallery: Gallery | None, image: str) -> str:
    """An image as a `data:` URI; "" when it cannot be read, which the page shows as an empty frame."""
    from imagescope_agent.retrieval.images import open_image  # imports LangChain, which scoring does without

    if gallery is None or image not in gallery.files:
        return ""
    try:
        return to_data_uri(open_image(gallery.folder / gallery.files[image]), SIDE)
    except ImageScopeError:
        return ""


def _flattened(usage: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for key, value in usage.items():
        pairs += (
            _flattened(value, f"{prefix}{key}: ") if isinstance(value, Mapping) else [(prefix + key, value)]
        )
    return pairs


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"

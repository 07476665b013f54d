"""Write the outputs of a finished run: metrics.json, run.trec, Markdown and LaTeX tables, submissions, the report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.versions import installed_versions
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import aggregate, trec
from imagescope_agent.evaluation.confidence import confidence_of
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery
from imagescope_agent.evaluation.metrics import relative_spread
from imagescope_agent.evaluation.reporting import report, tables
from imagescope_agent.evaluation.run_store import METRICS
from imagescope_agent.usage import sum_by_name

#: Keys of run.json that metrics.json repeats.
IDENTITY_KEYS = (
    *("dataset", "split", "protocol", "protocol_key", "gallery", "graph", "judge", "profile", "weights"),
    *("settings", "seed", "limit"),
)
STAGES = ("retrieve", "verify", "judge", "final")
PACKAGES = ("imagescope-agent", "torch", "transformers", "open_clip_torch", "faiss-cpu", "langgraph", "numpy")


def write_all(
    out: Path, identity: Mapping[str, Any], benchmark: Benchmark, queries: Sequence[BenchmarkQuery],
    records: Sequence[Mapping[str, Any]], galleries: Mapping[str, Gallery],
) -> dict[str, Any]:  # fmt: skip
    """Write every output of a run and return the content of metrics.json.

    Args:
        out: the run's folder.
        identity: what run.json holds.
        benchmark: the data set's rules.
        queries: those that were asked.
        records: their lines of per_query.jsonl, in the same order.
        galleries: where the pictures of the report come from.
    """
    rankings = {record["qid"]: record["stages"]["final"] for record in records if record["failed"] is None}
    metrics = {
        **summarise(identity, benchmark, queries, records),
        "submissions": write_submissions(out, benchmark, rankings),
    }
    trec.write_run(out / "run.trec", rankings, str(identity.get("graph", "run")))
    write_atomic(out / METRICS, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    write_atomic(out / "table.md", tables.markdown(metrics))
    write_atomic(out / "table.tex", tables.latex(metrics))
    write_atomic(out / "report.html", report.render_report(metrics, records, queries, galleries))
    return metrics


def write_submissions(out: Path, benchmark: Benchmark, rankings: Mapping[str, list[str]]) -> dict[str, str]:
    """Write the files for the official server when they pass its checks.

    Returns:
        File name -> "valid"; or "none" -> why there is nothing to upload.
    """
    if benchmark.submit is None:
        return {}
    try:
        missing = len(benchmark.queries) - len(rankings)
        if missing:
            raise BadInput(f"submission: {missing} of {len(benchmark.queries)} queries have no ranking")
        documents = benchmark.submit(rankings)
    except BadInput as error:
        return {"none": str(error)}
    for name, document in documents.items():
        write_atomic(out / name, json.dumps(document))
    return dict.fromkeys(documents, "valid")


def summarise(
    identity: Mapping[str, Any],
    benchmark: Benchmark,
    queries: Sequence[BenchmarkQuery],
    records: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of metrics.json: scores in per cent over the answered queries; failed queries are counted apart."""
    answered = [
        (query, record) for query, record in zip(queries, records, strict=True) if record["failed"] is None
    ]
    stages = [stage for stage in STAGES if any(stage in record["stages"] for _, record in answered)]
    dialogs = {"dialogs": identity["dialogs"]} if "dialogs" in identity else {}
    return {
        **{key: identity.get(key) for key in IDENTITY_KEYS},
        **dialogs,
        "queries": len(queries),
        "failed": len(queries) - len(answered),
        "degraded": sum(bool(record["degraded"]) for _, record in answered),
        "notes": dict(
            sorted(Counter(note["kind"] for _, record in answered for note in record["notes"]).items())
        ),
        "metrics": {stage: aggregate.means(table_of(benchmark, answered, stage)) for stage in stages},
        **_fulfilment([record for _, record in answered if "fulfilment" in record]),
        **_wordings(benchmark, answered),
        "usage": mean_usage([record["usage"] for _, record in answered]),
        "versions": installed_versions(PACKAGES),
    }


def _fulfilment(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How far the stated probabilities can be trusted, over the queries about which one was stated."""
    known = [record for record in records if "rank" in record["values"].get("final", {})]
    if not known:
        return {}
    right = [record["values"]["final"]["rank"] == 1 for record in known]
    stated = [(float(record["fulfilment"]), good) for record, good in zip(known, right, strict=True)]
    return {"fulfilment": confidence_of(stated, [bool(record.get("accepted")) for record in known])}


def _wordings(
    benchmark: Benchmark, answered: Sequence[tuple[BenchmarkQuery, Mapping[str, Any]]]
) -> dict[str, Any]:
    """How far the data set's first measure depends on the wording: its mean by wording, and over wishes.

    "spread" is (max - min) / mean over the wordings; "range" the mean over wishes of max - min, both in per cent.
    """
    name = next(iter(benchmark.measures), "")
    by_wording: dict[int, list[float]] = {}
    by_wish: dict[str, list[float]] = {}
    for query, record in answered:
        if query.wish and name:
            value = record["values"]["final"][name]
            by_wording.setdefault(query.wording, []).append(value)
            by_wish.setdefault(query.wish, []).append(value)
    ranges = [max(values) - min(values) for values in by_wish.values() if len(values) > 1]
    if not ranges:
        return {}
    rates = [100 * float(np.mean(by_wording[number])) for number in sorted(by_wording)]
    found = {
        "measure": name,
        "by wording": [round(rate, 2) for rate in rates],
        "spread": round(100 * relative_spread(rates), 2),
        "range": round(100 * float(np.mean(ranges)), 2),
    }
    return {"wordings": found}


def table_of(
    benchmark: Benchmark, answered: Sequence[tuple[BenchmarkQuery, Mapping[str, Any]]], stage: str
) -> aggregate.ScoreTable:
    """The table of one stage, over the queries that have it."""
    chosen = [(query, record["values"][stage]) for query, record in answered if stage in record["values"]]
    values = aggregate.from_records([value for _, value in chosen], benchmark.measures)
    return aggregate.tabulate(
        [query for query, _ in chosen], values, macro=benchmark.macro, worst_rank=benchmark.size
    )


def mean_usage(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means per answered query of numbers and of dicts of numbers (calls by role, seconds by step)."""
    means: dict[str, Any] = {}
    for key in dict.fromkeys(key for usage in usages for key in usage):
        values = [usage[key] for usage in usages if usage.get(key) is not None]
        if values and isinstance(values[0], Mapping):
            sums = sum_by_name(item for value in values for item in value.items() if item[1] is not None)
            means[key] = {name: total / len(usages) for name, total in sums.items()}
        elif values and isinstance(values[0], int | float):
            means[key] = sum(values) / len(usages)
    return means

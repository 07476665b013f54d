"""`imagescope compare`: paired significance tests between runs on the same queries."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.evaluation import aggregate, significance
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery
from imagescope_agent.evaluation.metrics import Floats
from imagescope_agent.evaluation.reporting import tables
from imagescope_agent.evaluation.run_store import METRICS, PER_QUERY, RUN, read_identity, read_records
from imagescope_agent.runs.checkpoints import reading

#: Keys of run.json that must agree before two runs may be compared.
MUST_AGREE = ("dataset", "split", "protocol", "gallery")
HEADER = (
    *("run", "queries", "measure", "n", "baseline", "run value", "difference", "95 % interval"),
    *("p", "p (Holm)", "wins", "losses", "ties"),
)


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A finished run: its folder, its run.json, the scores of each answered query, and how many queries failed."""

    name: str
    identity: dict[str, Any]
    queries: list[BenchmarkQuery]
    records: list[dict[str, Any]]
    measures: list[str]
    failed: int

    def scores(self, chosen: Container[str]) -> aggregate.ScoreTable:
        """The score table over the queries with these qids."""
        kept = [(q, r) for q, r in zip(self.queries, self.records, strict=True) if q.qid in chosen]
        kept.sort(key=lambda pair: pair[0].qid)  # the same order in every run, so that values pair up
        values = aggregate.from_records([record for _, record in kept], self.measures)
        size, macro = self.identity.get("gallery_size", 0), self.identity.get("macro", ())
        return aggregate.tabulate([query for query, _ in kept], values, macro=macro, worst_rank=size)


def compare(
    run_dirs: Sequence[Path | str], *, stage: str = "final", seed: int = 0, measures: Sequence[str] = ()
) -> dict[str, Any]:
    """Compare runs with the first of them, paired by query (by dialog for measures of dialogs) that both answered.

    Each difference has a paired bootstrap interval and a two-sided paired permutation test; p-values are corrected by
    Holm's method over all rows.

    Args:
        run_dirs: folders that `imagescope eval` wrote, or folders of such folders (one a seed), whose queries are
            pooled; the first is the baseline.
        stage: whose rankings are compared.
        seed: of resampling.
        measures: only these, all when empty.

    Returns:
        "baseline", "runs", "stage", "failed" and "rows": {"run", "subset", "measure", "n", "baseline", "value",
        "difference", "interval", "p", "p_holm", "wins", "losses", "ties"}, in the units of metrics.json (per cent).

    Raises:
        BadInput: fewer than two runs, runs that were made under different rules or answered no query in common, or a
            measure that they do not have.
    """
    if len(run_dirs) < 2:
        raise BadInput("compare needs at least two runs: name their folders")
    runs = [open_run(Path(folder), stage) for folder in run_dirs]
    _require_same_rules(runs)
    _require_measures(runs[0], measures)
    with reading(", ".join(run.name for run in runs)):
        rows = [row for run in runs[1:] for row in _rows(runs[0], run, seed, measures)]
    for row, adjusted in zip(rows, significance.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = adjusted
    return {
        "baseline": runs[0].name,
        "runs": [run.name for run in runs[1:]],
        "stage": stage,
        "failed": {run.name: run.failed for run in runs},
        "rows": rows,
    }


def _require_measures(run: ComparedRun, names: Sequence[str]) -> None:
    for name in names:
        if name not in run.measures:
            raise BadInput(f"the runs have no measure {name!r}; {suggest(name, run.measures)}")


def _require_same_rules(runs: Sequence[ComparedRun]) -> None:
    for run in runs[1:]:
        for key in MUST_AGREE:
            if run.identity.get(key) != runs[0].identity.get(key):
                raise BadInput(
                    f"{run.name!r} has {key} {run.identity.get(key)!r}, {runs[0].name!r} has "
                    f"{runs[0].identity.get(key)!r}: figures under different rules cannot be compared"
                )


def comparison_table(comparison: Mapping[str, Any], *, form: str = "markdown") -> str:
    """A comparison, as `compare` returns it, as a Markdown or LaTeX table.

    Raises:
        BadInput: another form.
    """
    makers = {"markdown": tables.markdown_table, "latex": tables.latex_table}
    if form not in makers:
        raise BadInput(f"unknown form {form!r}: choose one of {', '.join(makers)}")
    return makers[form](HEADER, [_cells(row) for row in comparison["rows"]])


def open_run(folder: Path, stage: str = "final") -> ComparedRun:
    """Read a run's folder, or a folder of runs (one a seed) as one run of all their queries.

    Raises:
        BadInput: it is no run, is damaged, has no such stage or ground truth, or its parts had different rules.
    """
    with reading(folder):
        return _opened(folder, stage)


def _opened(folder: Path, stage: str) -> ComparedRun:
    if not (folder / RUN).exists() and (parts := sorted(path.parent for path in folder.glob(f"*/{RUN}"))):
        return _pooled(folder, [open_run(part, stage) for part in parts])
    identity = read_identity(folder / RUN)
    if not (folder / METRICS).exists():
        raise BadInput(f"{folder / METRICS}: missing; finish the run with the same `imagescope eval` first")
    records = [record for _, record in read_records(folder / PER_QUERY)]
    answered = [record for record in records if record.get("failed") is None and stage in record["stages"]]
    if not answered:
        raise BadInput(f"{folder / PER_QUERY}: no query has the stage {stage!r}")
    measures = [name for name in answered[0]["values"][stage] if name != "rank"]
    if not measures:
        raise BadInput(f"{folder / PER_QUERY}: this split's ground truth is held by a test server")
    queries = [
        BenchmarkQuery(
            qid=r["qid"], text=r["text"], subsets=tuple(r["subsets"]), group=r["group"], turn=r["turn"]
        )
        for r in answered
    ]
    return ComparedRun(
        name=str(folder),
        identity=identity,
        queries=queries,
        records=[record["values"][stage] for record in answered],
        measures=measures,
        failed=len(records) - len(answered),
    )


def _pooled(folder: Path, parts: Sequence[ComparedRun]) -> ComparedRun:
    """The runs of several seeds as one; equal qids of two seeds are different queries."""
    _require_same_rules(parts)
    queries = [
        replace(query, qid=f"{seed}/{query.qid}", group=query.group and f"{seed}/{query.group}")
        for seed, part in ((Path(part.name).name, part) for part in parts)
        for query in part.queries
    ]
    return ComparedRun(
        name=str(folder),
        identity=parts[0].identity,
        queries=queries,
        records=[record for part in parts for record in part.records],
        measures=parts[0].measures,
        failed=sum(part.failed for part in parts),
    )


def _rows(
    baseline: ComparedRun, run: ComparedRun, seed: int, measures: Container[str] = ()
) -> list[dict[str, Any]]:
    """A comparison for each subset and measure, over the queries that both runs answered."""
    common = {query.qid for query in baseline.queries} & {query.qid for query in run.queries}
    if not common:
        raise BadInput(
            f"{run.name!r} and {baseline.name!r} answered no query in common: name runs of the same queries and seeds"
        )
    before, after = baseline.scores(common), run.scores(common)
    return [
        {"run": run.name, "subset": subset, "measure": measure, **_compared(first, second, measure, seed)}
        for subset in before
        for first, second in zip(before[subset], after[subset], strict=True)
        for measure in first.measures
        if not measures or measure in measures
    ]


def _compared(
    first: aggregate.SubsetScores, second: aggregate.SubsetScores, measure: str, seed: int
) -> dict[str, Any]:
    before, after = (_by_unit(rows, measure) for rows in (first, second))
    differences = after - before
    gains = -differences if measure in aggregate.NOT_PERCENT else differences
    return {
        "n": len(differences),
        "baseline": float(before.mean()),
        "value": float(after.mean()),
        "difference": float(differences.mean()),
        "interval": list(significance.bootstrap_interval(differences, seed=seed)),
        "p": significance.permutation_test(differences, seed=seed),
        "wins": int((gains > 0).sum()),
        "losses": int((gains < 0).sum()),
        "ties": int((gains == 0).sum()),
    }


def _by_unit(rows: aggregate.SubsetScores, measure: str) -> Floats:
    """A measure's values in the unit of metrics.json, one for each query or dialog: rounds are not independent."""
    index: dict[str, int] = {}
    place = [index.setdefault(unit, len(index)) for unit in rows.units]
    scale = 1.0 if measure in aggregate.NOT_PERCENT else 100.0
    values = rows.values[:, rows.measures.index(measure)] * rows.weights * scale
    sums: Floats = np.bincount(place, weights=values) / np.bincount(place)
    return sums


def _cells(row: Mapping[str, Any]) -> list[str]:
    low, high = row["interval"]
    figures = [f"{row['baseline']:.2f}", f"{row['value']:.2f}", f"{row['difference']:+.2f}"]
    tests = [f"{low:+.2f} to {high:+.2f}", f"{row['p']:.4f}", f"{row['p_holm']:.4f}"]
    counts = [str(row[name]) for name in ("wins", "losses", "ties")]
    return [row["run"], row["subset"], row["measure"], str(row["n"]), *figures, *tests, *counts]

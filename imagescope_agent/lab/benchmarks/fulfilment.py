"""`imagescope bench fulfilment`: fit the probability that a first place fulfils its query, and measure it elsewhere.

Drawn collections out of which pictures were taken, so that nothing fulfils more than half of the queries: what is left
holds near misses. Fitted and measured on different seeds.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation import calibration
from imagescope_agent.evaluation.calibration import Judged, JudgedQuery
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, read_queries
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.nodes.fulfilment import Fulfilment
from imagescope_agent.registry import load_graph
from imagescope_agent.services import open_services
from imagescope_agent.settings import Settings

GRAPHS = ("imagescope", "adaptive")
FILE, ROWS = "fulfilment.json", "rows.jsonl"


def run(
    *,
    root: Path | None = None,
    profile: str = "mini",
    train_seeds: Sequence[int] = (900, 901, 902, 903),
    seeds: Sequence[int] = (71, 72, 73),
    images: int = 100,
    queries: int = 60,
) -> dict[str, Any]:
    """Fit on the collections of some seeds and measure on those of others; text and composed queries in turn.

    Args:
        root: folder of what is drawn and indexed, kept for the next run; a temporary one when None.
        profile: which models.
        train_seeds: of the collections that the model is fitted on.
        seeds: of the evaluated ones.
        images: drawn for each; of these some are taken out.
        queries: of each.

    Returns:
        {"bench", "machine", "model": `Fulfilment.to_json`, "measured": {"fitted on" | "unseen" | "unseen, GRAPH": see
        `evaluation.calibration.measured`}, "rows": evidence of each query}.

    Raises:
        BadInput: a seed is fitted on and evaluated, or all first places are right or none is.
        BackendUnavailable: a model cannot be loaded.
    """
    if both := set(train_seeds) & set(seeds):
        raise BadInput(f"seed {min(both)} cannot be fitted on and evaluated; give other --train-seeds")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in (*train_seeds, *seeds):
            place = (root or Path(folder)) / f"seed-{seed}"
            for graph, found in _searched(place, seed, profile, images, queries).items():
                rows += [{"seed": seed, "graph": graph, **asdict(each)} for each in found]
    return {"bench": "fulfilment", "machine": machine(), **fitted(rows, train_seeds, profile), "rows": rows}


def fitted(rows: Sequence[Mapping[str, Any]], train_seeds: Sequence[int], profile: str) -> dict[str, Any]:
    """The model of the rows of some seeds, and how it does on the others."""
    taught = _judged([row for row in rows if row["seed"] in train_seeds])
    unseen = [row for row in rows if row["seed"] not in train_seeds]
    told = f"drawn scenes of the seeds {', '.join(map(str, train_seeds))}, profile {profile}"
    model = calibration.calibrated(taught, fitted_on=told)
    groups = {"unseen": unseen}
    for graph in dict.fromkeys(row["graph"] for row in unseen):
        groups[f"unseen, {graph}"] = [row for row in unseen if row["graph"] == graph]
    measured = {"fitted on": calibration.measured(model, taught)}
    measured |= {name: calibration.measured(model, _judged(each)) for name, each in groups.items()}
    return {"model": model.to_json(), "measured": measured}


def _judged(rows: Sequence[Mapping[str, Any]]) -> list[Judged]:
    return [
        Judged(features=tuple(row["features"]), right=row["right"], answerable=row["answerable"])
        for row in rows
    ]


def _searched(place: Path, seed: int, profile: str, images: int, count: int) -> dict[str, list[Judged]]:
    """What each graph makes of its part of the queries about what is left of a drawn collection."""
    if not (place / "none.jsonl").exists():  # the last file that is written
        make_world(place, seed, images)
    drawn = read_queries(place, count)
    left = _left(place, drawn, Random(f"taken out {seed}"))
    index_folder(place / "images", profile=profile, only=left, progress=False)
    services = open_services(profile, place / "images")
    settings = Settings.load(services.settings)
    asked = [
        JudgedQuery(text=query.text, reference=query.reference, relevant=query.targets & left)
        for query in drawn
    ]
    found = {}
    for number, name in enumerate(GRAPHS):  # pairs of a text and a composed query in turn
        part = [query for place, query in enumerate(asked) if place // 2 % len(GRAPHS) == number]
        work = calibration.judge_queries(
            load_graph(name)(services), part, settings, name=f"seed {seed}, {name}"
        )
        found[name] = asyncio.run(work)
    return found


def _left(place: Path, queries: Sequence[DrawnQuery], rng: Random) -> frozenset[str]:
    """The ids that stay: every target of a random half of the queries is taken out, references never are."""
    ids = {path.name for path in (place / "images").glob("*.png")}
    kept = {query.reference for query in queries if query.reference}
    gone = {target for query in queries if rng.random() < 0.5 for target in query.targets}
    return frozenset(ids - (gone - kept))


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table, and what it was fitted on."""
    return f"{calibration.table(made['measured'])}\n\n{Fulfilment.from_json(made['model']).fitted_on}"


def write(made: Mapping[str, Any], out: Path) -> None:
    """Write the model as a profile names it, and the evidence that it was fitted and measured on."""
    (out / FILE).write_text(made["model"] + "\n", encoding="utf-8")
    lines = [json.dumps(row) for row in made["rows"]]
    (out / ROWS).write_text("\n".join(lines) + "\n", encoding="utf-8")

"""`imagescope bench rivals`: the graphs side by side on drawn queries, by what is hard about them.

With one reference and with several for the same wishes, with near misses among the images, and in wordings that no
model was taught. Every run begins with empty caches and is kept: the same command goes on where it stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.evaluate import evaluate
from imagescope_agent.evaluation.metrics import relative_spread
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.drawn import clear_caches
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.registry import load_graph
from imagescope_agent.services import open_services

GRAPHS = ("xr", "cotrr", "imagescope", "mra", "cir_cot", "adaptive")
REASONING = "mini_cot"  # the profile that ships with an embedder that reasons
COMPOSING = "mini_mra"  # the one with a trained composer
SPLITS = ("single", "multi", "hard", "paraphrase")
LAST = "none.jsonl"  # the last file of a drawn world
NEAR_MISS = "NegAbove@10"
COUNTED = ("prompt_tokens", "image_prefills")


def run(  # every argument and figure is told
    *,
    root: Path | None = None,
    profile: str = "mini",
    mra: str = COMPOSING,
    cir_cot: str = REASONING,
    graphs: Sequence[str] = GRAPHS,
    splits: Sequence[str] = SPLITS,
    seeds: Sequence[int] = (41, 42, 43),
    images: int = 200,
    queries: int = 20,
) -> dict[str, Any]:
    """Send the same drawn queries through every graph.

    Args:
        root: folder of what is drawn, indexed and measured, kept for the next run; a temporary one when None.
        profile: which models.
        mra: a profile with a trained composer, for the graph `mra`.
        cir_cot: a profile whose embedder reasons, for the graph `cir_cot`.
        graphs: by name; the others have the models of `profile`.
        splits: of the drawn data set.
        seeds: of the collections.
        images: drawn for each.
        queries: of each split and seed; wishes, where these have several wordings.

    Returns:
        {"bench", "machine", "images", "seeds", "rows": a row for each graph and split over all seeds:
        "queries", "R@1", "calls", "prompt_tokens", "image_prefills" (means a query), "near miss above" and "spread"
        where the split measures them; shares in per cent}.

    Raises:
        BadInput: an unknown graph, split or profile.
        BackendUnavailable: a model cannot be loaded.
    """
    if unknown := sorted(set(splits) - set(SPLITS)):
        raise BadInput(f"there is no split {unknown[0]!r} here; choose among {', '.join(SPLITS)}")
    profiles = {**dict.fromkeys(graphs, profile), "mra": mra, "cir_cot": cir_cot}
    asked = [(name, profiles[name]) for name in graphs]
    for name, _ in asked:
        load_graph(name)  # a misspelt name fails before anything is drawn
    with tempfile.TemporaryDirectory() as folder:
        places = {
            (seed, chosen): (root or Path(folder))
            / (f"seed-{seed}" + (f"-{Path(chosen).stem}" if own else ""))
            for seed in seeds
            for chosen in dict.fromkeys(chosen for _, chosen in asked)
            for own in [chosen != profile]  # an index is of one profile
        }
        for (seed, _), place in places.items():
            if not (place / LAST).exists():
                make_world(place, seed, images)
        rows = [
            {
                "graph": name,
                "split": split,
                **pooled(
                    [_measured(places[seed, chosen], name, chosen, split, queries, seed) for seed in seeds]
                ),
            }
            for name, chosen in asked
            for split in splits
        ]
    return {"bench": "rivals", "machine": machine(), "images": images, "seeds": [*seeds], "rows": rows}


def _measured(place: Path, graph: str, profile: str, split: str, limit: int, seed: int) -> dict[str, Any]:
    """metrics.json of one run."""
    if (place / ".imagescope").is_dir():
        clear_caches(open_services(profile, place))
    out = place / "runs" / f"{split}-{graph}-{limit}"
    return evaluate(
        "scenes", root=place, out=out, split=split, graph=graph, profile=profile, limit=limit, seed=seed
    )


def pooled(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A row over several runs, each counting as often as it has queries."""
    counts = [each["queries"] - each["failed"] for each in runs]

    def mean(values: Sequence[float]) -> float:
        return round(float(np.average(values, weights=counts)), 2)

    scores = [each["metrics"]["final"]["all"] for each in runs]
    row: dict[str, Any] = {
        "queries": sum(counts),
        "R@1": mean([each["R@1"] for each in scores]),
        "calls": mean([sum(each["usage"].get("calls", {}).values()) for each in runs]),
        **{key: mean([each["usage"].get(key, 0.0) for each in runs]) for key in COUNTED},
    }
    if all(NEAR_MISS in each for each in scores):
        row["near miss above"] = mean([each[NEAR_MISS] for each in scores])
    if all("wordings" in each for each in runs):
        rates = np.average([each["wordings"]["by wording"] for each in runs], axis=0, weights=counts)
        row["spread"] = round(100 * relative_spread(rates), 2)
    return row


def describe(made: Mapping[str, Any]) -> str:
    """The rows as one Markdown table."""
    columns = ("queries", "R@1", "calls", *COUNTED, "near miss above", "spread")
    cells = [
        [row["graph"], row["split"], *(f"{row[key]:g}" if key in row else "" for key in columns)]
        for row in made["rows"]
    ]
    head = ["graph", "split", *(name.replace("_", " ") for name in columns)]
    seeds = ", ".join(map(str, made["seeds"]))
    lines = [
        f"Drawn collections of {made['images']} images, seeds {seeds}; means a query, shares in per cent, caches empty",
        "before every run. Near miss above: queries with an image that is one property off in the first ten above",
        "the last right one. Spread: (max - min) / mean of R@1 over six wordings.\n",
    ]
    return "\n".join(lines) + "\n" + markdown_table(head, cells, text_columns=2)

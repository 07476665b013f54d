"""`imagescope bench graphs`: the cost of a query in each graph with empty caches, and what early stopping saves."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from tqdm import tqdm

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, clear_caches, read_queries
from imagescope_agent.lab.benchmarks.machine import machine, peak_memory
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.registry import load_graph
from imagescope_agent.services import Services
from imagescope_agent.settings import Settings
from imagescope_agent.usage import total_usage

GRAPHS = ("imagescope", "cotrr", "adaptive")
EARLY = "adaptive"  # the graph that stops verifying when its first ranks are certain
COUNTED = ("calls", "prompt_tokens", "completion_tokens", "image_prefills")


def run(
    *,
    root: Path | None = None,
    profile: str = "mini",
    images: int = 300,
    queries: int = 60,
    graphs: Sequence[str] = GRAPHS,
    seed: int = 0,
    services: Services | None = None,
) -> dict[str, Any]:
    """Run the same queries through every graph, one after another, each from empty caches.

    The adaptive graph runs three times: as it is (first rank certain), with the first three ranks certain, and with
    every candidate verified.

    Args:
        root: a folder of drawn scenes (`imagescope scenes make`); drawn anew when None.
        profile: which models.
        images: how many are drawn.
        queries: how many, with and without reference images in turn.
        graphs: by name.
        seed: of the scenes that are drawn.
        services: used instead of the profile's; for tests.

    Returns:
        {"bench", "machine", "queries", "variants": {name: means a query of calls, tokens, image prefills, verdicts, and
        "right", the share of queries whose first image is relevant}, "ratios": {"adaptive/GRAPH": {"prompt_tokens",
        "image_prefills"}}, "early_stop": {"first N": {"saved", "same"}}}: the share of verdicts saved, and that of
        queries whose first N verified images are those of verifying everything.

    Raises:
        BadInput: no drawn scenes there, or too few queries.
        BackendUnavailable: a model cannot be loaded.
    """
    if root is not None:
        return _measured(root, profile, queries, graphs, services)
    with tempfile.TemporaryDirectory() as folder:
        make_world(Path(folder), seed, images)
        return _measured(Path(folder), profile, queries, graphs, services)


def _measured(
    root: Path, profile: str, count: int, graphs: Sequence[str], services: Services | None
) -> dict[str, Any]:
    queries = read_queries(root, count)
    if services is None:
        index_folder(root / "images", profile=profile, progress=False)
        services = ImageScope.open(root / "images", profile=profile, runs=False).services
    settings = Settings.load(services.settings)
    runs = {name: (name, settings) for name in graphs}
    for places in (3, settings.top_k):
        certain = Settings(**{**settings.to_dict(), "certain": places})
        runs[f"{EARLY}, first {places} certain"] = (EARLY, certain)
    rows = {
        name: asyncio.run(_run_queries(services, *variant, queries, name)) for name, variant in runs.items()
    }
    variants = {name: _means(each) for name, each in rows.items()}
    everything = rows[f"{EARLY}, first {settings.top_k} certain"]
    early = {"first 1": (1, rows[EARLY]), "first 3": (3, rows[f"{EARLY}, first 3 certain"])}
    return {
        "bench": "graphs",
        "machine": {**machine(), **peak_memory()},
        "weights": services.weights,
        "queries": len(queries),
        "images": len(services.collection.ids),
        "variants": variants,
        "ratios": {
            f"{EARLY}/{name}": {
                key: round(variants[EARLY][key] / variants[name][key], 3)
                for key in ("prompt_tokens", "image_prefills")
                if variants[name][key]
            }
            for name in graphs
            if name != EARLY
        },
        "early_stop": {name: _early(places, each, everything) for name, (places, each) in early.items()},
    }


async def _run_queries(
    services: Services, graph: str, settings: Settings, queries: Sequence[DrawnQuery], name: str
) -> list[dict[str, Any]]:
    compiled = load_graph(graph)(services)
    rows = []
    for query in tqdm(queries, desc=name, unit="query", disable=None):
        clear_caches(services)
        given = {"query": query.text, "reference": query.reference}
        rows.append(_row(await compiled.ainvoke(given, context=settings), query))
    return rows


def _row(state: Mapping[str, Any], query: DrawnQuery) -> dict[str, Any]:
    usage = state["usage"]
    total = total_usage(usage)
    counted = {key: total[key] for key in COUNTED}
    return {
        **counted,
        "verdicts": sum(entry["calls"] for entry in usage if entry["step"] == "verify"),
        "right": float(state["ranking"][0] in query.targets),
        "verified": state.get("ranking_verify") or state["ranking"],
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {key: round(mean(row[key] for row in rows), 3) for key in (*COUNTED, "verdicts", "right")}


def _early(
    places: int, rows: Sequence[Mapping[str, Any]], everything: Sequence[Mapping[str, Any]]
) -> dict[str, float]:
    pairs = list(zip(rows, everything, strict=True))
    early, whole = (sum(row["verdicts"] for row in each) for each in (rows, everything))
    return {
        "saved": round(1 - early / max(1, whole), 3),
        "same": mean(one["verified"][:places] == other["verified"][:places] for one, other in pairs),
    }


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as a Markdown table and a line for each ratio."""
    columns = ("right", "calls", "verdicts", "prompt_tokens", "completion_tokens", "image_prefills")
    rows = [[name, *(f"{row[column]:.2f}" for column in columns)] for name, row in made["variants"].items()]
    lines = [
        f"{made['queries']} queries over {made['images']} images, each from empty caches; means a query\n",
        markdown_table(["graph", *(name.replace("_", " ") for name in columns)], rows),
    ]
    for name, row in made["ratios"].items():
        ratios = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items())
        lines.append(f"{name}: {ratios}")
    for name, row in made["early_stop"].items():
        lines.append(f"{name}: {row['saved']:.0%} of the verdicts saved, {row['same']:.0%} the same places")
    return "\n".join(lines)

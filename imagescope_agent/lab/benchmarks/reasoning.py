"""`imagescope bench reasoning`: a model that reasons, then embeds, beside other graphs; whether its chains are true.

The same queries in one run: `cir_cot` without a chain, with one, and with one where it decides by itself; plain
vectors, ImageScope's first stage, and `adaptive`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, read_queries
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.benchmarks.reasoning_chains import counterfactual, is_true, read_world
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.spaces import add_space
from imagescope_agent.services import open_services
from imagescope_agent.settings import Settings
from imagescope_agent.usage import total_usage

AT = (1, 5, 10)
SPACE, DEPTH = "thoughts", 20
#: Name -> graph, settings, and whether the embedder is the model that reasons.
WAYS: Mapping[str, tuple[str, dict[str, Any], bool]] = {
    "fast": ("cir_cot", {"reasoning": "fast"}, True),
    "full": ("cir_cot", {"reasoning": "full"}, True),
    "auto": ("cir_cot", {"reasoning": "auto"}, True),
    "plain vectors": ("retrieve", {}, False),
    "imagescope, stage 1": ("imagescope", {"top_k": 0, "alpha": 0}, False),
    "adaptive": ("adaptive", {}, False),
}


def run(  # half of it is the table of what is returned
    *,
    model: str,
    profile: str = "mini",
    root: Path | None = None,
    seeds: Sequence[int] = (3, 4, 5),
    images: int = 200,
    queries: int = 60,
    tries: int = 200,
    composed: float = 0.0,
    ways: Sequence[str] = tuple(WAYS),
) -> dict[str, Any]:
    """Ask the same drawn queries in every way.

    Args:
        model: an embedder that reasons, as a profile names it.
        profile: of the other graphs.
        root: folder of the drawn collections, kept for the next run; a temporary one when None.
        seeds: of the collections; never ones that the model was trained on.
        images: of each.
        queries: of each, half of them composed.
        tries: of the counterfactual test.
        composed: weight of the composed vector beside the descriptions, where the profile's embedder composes.
        ways: names of `WAYS`.

    Returns:
        {"bench", "machine", "queries", "ways": {name: {"cir", "tir": {"R@1", "R@5", "R@10"}, "calls", "tokens"}},
        "true": share of first results that the chain is true of, among the hits of "full"; "followed": shares of edited
        chains whose picture comes first}.

    Raises:
        BadInput: the model does not reason, or a way is unknown.
    """
    embedder = _opened(model, ways)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        for seed in tqdm(seeds, desc="collections", disable=None):
            place = (root or Path(folder)) / f"w{seed}"
            collection = _indexed(place, seed, images, profile, embedder)
            asked, scenes = read_queries(place, queries), read_world(place)
            for name in ways:
                rows[name] += asyncio.run(_ask(name, collection, profile, embedder, asked, scenes, composed))
    told = [row["true"] for row in rows.get("full", ()) if row["true"] is not None]
    return {
        "bench": "reasoning",
        "machine": machine(),
        "queries": queries * len(seeds),
        "ways": {name: _means(found) for name, found in rows.items()},
        "true": round(sum(told) / len(told), 4) if told else None,
        "followed": counterfactual(embedder, tries) if tries else None,
    }


def _opened(model: str, ways: Sequence[str]) -> ReasoningEmbedder:
    """The model, checked together with the ways before anything is drawn; errors as `run`."""
    embedder = open_embedder(model)
    if not isinstance(embedder, ReasoningEmbedder):
        raise BadInput(f"{model!r} does not reason; name a model of `imagescope train cir-cot`")
    if unknown := [name for name in ways if name not in WAYS]:
        raise BadInput(f"there is no way {unknown[0]!r}; choose among {', '.join(WAYS)}")
    return embedder


def _indexed(place: Path, seed: int, images: int, profile: str, embedder: ReasoningEmbedder) -> Path:
    """A drawn collection, indexed, with the model's vectors as a further space."""
    if not (place / "cir.jsonl").exists():
        make_world(place, seed, images)
    folder = place / "images"
    index_folder(folder, profile=profile, progress=False)
    spaces = FolderCollection.open(folder).spaces
    if SPACE not in spaces or spaces[SPACE].weights != embedder.weights:
        add_space(folder, SPACE, embedder)
    return folder


async def _ask(
    name: str,
    folder: Path,
    profile: str,
    embedder: ReasoningEmbedder,
    asked: Sequence[DrawnQuery],
    scenes: Mapping[str, Scene],
    composed: float,
) -> list[dict[str, Any]]:
    graph, settings, reasons = WAYS[name]
    opened = open_services(profile, folder)
    built = load_graph(graph)(replace(opened, embedder=embedder) if reasons else opened)
    chosen = Settings(k=DEPTH, composed=composed, **settings)

    async def ask(query: DrawnQuery) -> dict[str, Any]:
        given = {"query": query.text, "reference": query.reference}
        return _row(query, await built.ainvoke(given, context=chosen), scenes)

    return list(await asyncio.gather(*map(ask, asked)))


def _row(query: DrawnQuery, state: Mapping[str, Any], scenes: Mapping[str, Scene]) -> dict[str, Any]:
    order, usage = state["ranking"], total_usage(state["usage"])
    hits = [place for place, name in enumerate(order) if name in query.targets]
    hit = bool(hits) and hits[0] == 0
    told = is_true(state["chain"]["conclusion"], scenes[order[0]]) if hit and state.get("chain") else None
    return {
        "kind": "cir" if query.reference else "tir",
        "rank": hits[0] if hits else len(scenes),
        "calls": usage["calls"],
        "tokens": usage["completion_tokens"],
        "true": told,
    }


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: round(sum(row[name] for row in rows) / len(rows), 2) for name in ("calls", "tokens")
    }
    for kind in ("cir", "tir"):
        ranks = [row["rank"] for row in rows if row["kind"] == kind]
        found[kind] = {f"R@{k}": round(100 * sum(rank < k for rank in ranks) / len(ranks), 1) for k in AT}
    return found


def describe(measured: Mapping[str, Any]) -> str:
    """The measurement as Markdown."""
    header = ["way", *(f"{kind} R@{k}" for kind in ("cir", "tir") for k in AT), "calls", "tokens written"]
    rows = [
        [
            name,
            *(f"{each[kind][f'R@{k}']:.1f}" for kind in ("cir", "tir") for k in AT),
            f"{each['calls']:.2f}",
            f"{each['tokens']:.1f}",
        ]
        for name, each in measured["ways"].items()
    ]
    lines = [f"{measured['queries']} queries.", "", markdown_table(header, rows)]
    if measured["true"] is not None:
        lines.append(f"The conclusion is true of {measured['true']:.1%} of the first results that are right.")
    for name, share in (measured["followed"] or {}).items():
        lines.append(f"Edited chains ({name}): the picture of the new colour comes first in {share:.1%}.")
    return "\n".join(lines)

"""`imagescope bench composition`: composed queries by vectors, by words, and by composers; and how right triplets are.

The composers are trained on a drawn collection of a seed that is not evaluated: one on the triplets that the agent
built from its images alone, one on as many true triplets of the same images. Ground truth measures, and teaches only
the latter.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.benchmarks.triplets import measure_triplets, quality
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.training.embedders.composer import plan_for, train_composer
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.embedders.apart import Apart
from imagescope_agent.retrieval.embedders.composer import ComposedEmbedder, behind
from imagescope_agent.retrieval.embedders.composer_card import read_card
from imagescope_agent.retrieval.embedders.late import LateEmbedder
from imagescope_agent.services import Services, open_services
from imagescope_agent.settings import Settings
from imagescope_agent.training_data.triplet_files import Triplet, read_triplets
from imagescope_agent.training_data.triplets import build_triplets
from imagescope_agent.usage import sum_usage

AT = (1, 10, 20)
PLAIN = Settings(k=20, top_k=20)
STAGE_1 = Settings(k=20, top_k=0, alpha=0)  # of ImageScope: retrieved, not verified, not judged
STEPS = ("describe", "understand")  # what stage 1 asks


def run(  # half of it tells arguments and result
    *,
    root: Path | None = None,
    profile: str = "mini",
    train_seed: int = 101,
    train_images: int = 1500,
    triplets: int = 300,
    seeds: Sequence[int] = (3, 4, 5),
    images: int = 1000,
    queries: int = 300,
    words: int = 300,
    tokens: bool = False,
    services: Services | None = None,
) -> dict[str, Any]:
    """Build triplets, train two composers on them, and ask the same composed queries in every way.

    Args:
        root: folder of what is made, kept for the next run; a temporary one when None.
        profile: which models.
        train_seed: of the collection that the triplets are about.
        train_images: of that collection.
        triplets: how many.
        seeds: of the evaluated collections.
        images: of each.
        queries: of each, at most.
        words: of those, how many are also described in words by the chat model.
        tokens: whether the composers read tokens.
        services: whose models are used instead of the profile's; for tests.

    Returns:
        {"bench", "machine", "methods": {name: {"R@1", "R@10", "R@20", "calls", "tokens", "queries"}}, "kinds":
        {name: {kind: R@1}}, "triplets": as of `measure_triplets`, "yield": {...}}.

    Raises:
        BadInput: the training seed is evaluated, or the triplets are too few.
        BackendUnavailable: a model cannot be loaded.
    """
    if train_seed in seeds:
        raise BadInput(f"seed {train_seed} cannot be trained on and evaluated; give another --train-seed")
    with tempfile.TemporaryDirectory() as folder:
        place = root or Path(folder)
        taught = _opened(place / f"train-{train_seed}", train_seed, train_images, profile, services)
        report, quality, composers = _composers(place, taught, profile, triplets, tokens)
        rows: dict[str, list[dict[str, Any]]] = {}
        for seed in seeds:
            world = _opened(place / f"seed-{seed}", seed, images, profile, services)
            asked = _queries(place / f"seed-{seed}")[:queries]
            for name, found in _asked(world, composers, asked, words).items():
                rows.setdefault(name, []).extend(found)
    return {
        "bench": "composition",
        "machine": machine(),
        "methods": {name: _means(each) for name, each in rows.items()},
        "kinds": {name: _by_kind(each) for name, each in rows.items()},
        "triplets": quality,
        "yield": report,
    }


def _opened(place: Path, seed: int, images: int, profile: str, services: Services | None) -> Services:
    """The services over a drawn collection, drawn and indexed first where it is not there yet."""
    if not (place / "cir.jsonl").exists():
        make_world(place, seed, images)
    index_folder(place / "images", profile=profile, progress=False)
    opened = open_services(profile, place / "images")
    if services is None:
        return opened
    return replace(services, collection=opened.collection)


def _queries(place: Path) -> list[dict[str, Any]]:
    lines = (place / "cir.jsonl").read_text(encoding="utf-8").splitlines()
    return [_inside(json.loads(line)) for line in lines]


def _inside(query: dict[str, Any]) -> dict[str, Any]:
    """A query with ids of the folder of images."""
    targets = [name.removeprefix("images/") for name in query["targets"]]
    return {**query, "reference": query["reference"].removeprefix("images/"), "targets": targets}


def _composers(
    place: Path, services: Services, profile: str, count: int, tokens: bool
) -> tuple[dict[str, Any], dict[str, Any], dict[str, ComposedEmbedder]]:
    """The yield, the quality of the triplets, and the composers of the agent's and of true triplets, by name."""
    file = place / f"triplets-{count}.jsonl"
    report = asyncio.run(build_triplets(services, file, count, progress=lambda each: None))
    agent = read_triplets(file, services.collection.ids)
    true = _true_triplets(services, len(agent))
    opened = services.embedder.opened() if isinstance(services.embedder, LateEmbedder) else services.embedder
    embedder, spec = behind(opened, load_profile(profile).embedder)
    composers, plan = {}, plan_for(embedder, tokens=tokens)
    for name, triplets in (("agent", agent), ("true", true)):
        folder = place / f"composer-{name}-{len(triplets)}{'-tokens' if tokens else ''}"
        train_composer(services.collection, embedder, spec, triplets, folder, plan=plan, source=[name])
        composers[f"composer, {len(triplets)} {name} triplets"] = ComposedEmbedder(
            embedder, folder, read_card(folder)
        )
    quality = measure_triplets(file.with_name(f"{file.name}.journal"), _folder(services) / "scenes.jsonl")
    told = {name: getattr(report, name) for name in ("kept", "pairs", "calls", "tokens")}
    return {**told, "dropped": dict(report.dropped)}, quality, composers


def _folder(services: Services) -> Path:
    return services.collection.folder.parent


def _true_triplets(services: Services, count: int) -> list[Triplet]:
    """As many true triplets of the same images, with random images as distractors."""
    rng = Random(0)
    ids = list(services.collection.ids)
    made = []
    for query in _queries(_folder(services)):
        right = {query["reference"], *query["targets"]}
        shown = [name for name in rng.sample(ids, 12) if name not in right][:5]
        target = query["targets"][0]
        made.append(
            Triplet(reference=query["reference"], text=query["text"], target=target, distractors=tuple(shown))
        )
    return rng.sample(made, min(count, len(made)))


def _asked(
    services: Services,
    composers: Mapping[str, ComposedEmbedder],
    queries: Sequence[dict[str, Any]],
    words: int,
) -> dict[str, list[dict[str, Any]]]:
    apart = replace(services, embedder=Apart(services.embedder))
    ways = {
        "mean of the vectors": ("retrieve", apart, PLAIN, len(queries)),
        "described in words": ("imagescope", services, STAGE_1, words),
    }
    if getattr(services.embedder, "compose", None) is not None:
        ways["the profile's own composed vector"] = ("mra", services, PLAIN, len(queries))
    for name, composer in composers.items():
        ways[name] = ("mra", replace(services, embedder=composer), PLAIN, len(queries))
    return {
        name: asyncio.run(_ranked(graph, with_, settings, queries[:count], name))
        for name, (graph, with_, settings, count) in ways.items()
        if count
    }


async def _ranked(
    graph: str, services: Any, settings: Settings, queries: Sequence[dict[str, Any]], name: str
) -> list[dict[str, Any]]:
    compiled = load_graph(graph)(services)
    rows = []
    for query in tqdm(queries, desc=name, unit="query", disable=None):
        given = {"query": query["text"], "reference": query["reference"]}
        state = await compiled.ainvoke(given, context=settings)
        ranking = state["ranking_retrieve"]
        found = [place for place, image in enumerate(ranking) if image in query["targets"]]
        spent = sum_usage(entry for entry in state["usage"] if entry["step"] in STEPS)
        rows.append(
            {
                "kind": query["kind"],
                "calls": spent.calls,
                "tokens": spent.tokens,
                **{f"R@{k}": 100.0 * any(place < k for place in found) for k in AT},
            }
        )
    return rows


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = [*(f"R@{k}" for k in AT), "calls", "tokens"]
    means = {name: round(sum(row[name] for row in rows) / len(rows), 2) for name in names}
    return {**means, "queries": len(rows)}


def _by_kind(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    kinds = sorted({row["kind"] for row in rows})
    return {kind: _means([row for row in rows if row["kind"] == kind])["R@1"] for kind in kinds}


def describe(made: Mapping[str, Any]) -> str:
    """The measurement as Markdown tables."""
    columns = (*(f"R@{k}" for k in AT), "calls", "tokens", "queries")
    methods = [[name, *(f"{row[c]:g}" for c in columns)] for name, row in made["methods"].items()]
    kinds = sorted({kind for row in made["kinds"].values() for kind in row})
    by_kind = [
        [name, *(f"{row[kind]:.1f}" if kind in row else "" for kind in kinds)]
        for name, row in made["kinds"].items()
    ]
    told = made["yield"]
    dropped = ", ".join(f"{count} {why}" for why, count in told["dropped"].items())
    return "\n".join(
        [
            markdown_table(["composed queries", *columns], methods),
            markdown_table(["R@1 by kind", *kinds], by_kind),
            *quality(made["triplets"]),
            f"{told['kept']} triplets of {told['pairs']} pairs, {told['calls']} calls and {told['tokens']} tokens; "
            f"dropped: {dropped}",
        ]
    )

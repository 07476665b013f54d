"""`imagescope bench reasoning`: a model that reasons, then embeds, beside other graphs; whether its chains are true.

The same queries in one run: `cir_cot` without a chain, with one, and with one where it decides by itself; plain
vectors, a composer, ImageScope's first stage, `imagescope` and `adaptive`, and that after the vectors of the model.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imagescope_agent.api import index_folder
from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.counterfactual import counterfactual
from imagescope_agent.lab.benchmarks.drawn import DrawnQuery, read_queries
from imagescope_agent.lab.benchmarks.machine import machine
from imagescope_agent.lab.benchmarks.reasoning_chains import is_true, read_world
from imagescope_agent.lab.benchmarks.reasoning_threshold import describe_curve, roles_leads, threshold_curve
from imagescope_agent.lab.scenes.held_out import check_parts, shows
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.lab.scenes.world import Scene
from imagescope_agent.nodes.intent.reason import lead
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.registry import load_graph
from imagescope_agent.retrieval.collection import FolderCollection
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.embedders.composer_card import located, read_card
from imagescope_agent.retrieval.reasoning import ReasoningEmbedder
from imagescope_agent.retrieval.spaces import add_space
from imagescope_agent.services import open_roles, open_services
from imagescope_agent.settings import Settings
from imagescope_agent.usage import total_usage

AT = (1, 5, 10)
REST = "none of them"
_GIVE = "made by `imagescope train composer` and given by --mra"
SPACE, DEPTH = "thoughts", 20
MRA = "mra"  # needs a composer, which a profile names
AGREE = {"agree_within": 1, "agree_within_text": 8, "agree_lead": 0.08}  # chosen on seeds 80 to 87
#: Name -> graph, settings, and what of the services is the model that reasons; "" where it has no part.
WAYS: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "fast": ("cir_cot", {"reasoning": "fast"}, "embedder"),
    "full": ("cir_cot", {"reasoning": "full", "chain_writer": "embedder"}, "embedder"),
    "full by roles": ("cir_cot", {"reasoning": "full", "chain_writer": "roles"}, "embedder"),
    "auto": ("cir_cot", {"reasoning": "auto"}, "embedder"),
    "auto by roles": ("cir_cot", {"reasoning": "auto", "chain_writer": "roles"}, "embedder"),
    "auto by agreement": (
        "cir_cot",
        {"reasoning": "auto", "chain_writer": "roles", **AGREE},
        "first_stage",
    ),
    "plain vectors": ("retrieve", {}, ""),
    MRA: ("mra", {}, ""),
    "imagescope, stage 1": ("imagescope", {"top_k": 0, "alpha": 0}, ""),
    "imagescope": ("imagescope", {}, ""),
    "adaptive": ("adaptive", {}, ""),
    "adaptive after fast": ("adaptive", {"reasoning": "fast"}, "first_stage"),
    "adaptive after full": ("adaptive", {"reasoning": "full"}, "first_stage"),
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
    roles_threshold: float | None = None,
    roles_threshold_text: float | None = None,
    ways: Sequence[str] = tuple(WAYS),
    mra: str | None = None,
    apart: Sequence[str] = (),
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
        roles_threshold: the setting, of "auto by roles"; None for that of `mini_cot`.
        roles_threshold_text: the same, of words alone.
        ways: names of `WAYS`.
        mra: a profile with a trained composer; without one that way is left out.
        apart: kinds of instruction, colours and kinds of things that the composed queries are told apart by.

    Returns:
        {"bench", "machine", "queries", "ways": {name: {"cir", "tir": {"R@1", "R@5", "R@10"}, "calls", "verdicts",
        "tokens", "true": share of first results that the chain is true of, among the hits, None without chains,
        "apart": {part, or "none of them": {"queries", "R@1"}}}}, "left_out": ways,
        "composer": what taught it, None without one; "threshold": see `threshold_curve`; "followed": see
        `counterfactual`, None without tries}.

    Raises:
        BadInput: the model does not reason, or a way is unknown.
    """
    embedder = _opened(model, ways)
    check_parts(apart)
    left_out = [name for name in ways if name == MRA and mra is None]
    ways = [name for name in ways if name not in left_out]
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    leads = roles_leads(roles_threshold, roles_threshold_text)
    with tempfile.TemporaryDirectory() as folder:
        for seed in tqdm(seeds, desc="collections", disable=None):
            place = (root or Path(folder)) / f"w{seed}"
            collection = _indexed(place, seed, images, profile, embedder)
            asked, scenes = read_queries(place, queries), read_world(place)
            parts = [_parts(query, scenes, apart) for query in asked]
            for name in ways:
                used = mra if name == MRA and mra is not None else profile
                given = {"composed": composed, **leads}
                found = asyncio.run(_ask(name, collection, used, embedder, asked, scenes, given))
                rows[name] += [{**row, "parts": held} for row, held in zip(found, parts, strict=True)]
    return {
        "bench": "reasoning",
        "machine": machine(),
        "queries": queries * len(seeds),
        "ways": {name: _means(found, apart) for name, found in rows.items()},
        "left_out": left_out,
        "composer": None if mra is None else composer_told(load_profile(mra).embedder),
        "threshold": threshold_curve(rows),
        "followed": counterfactual(embedder, tries, open_roles(load_profile(profile))) if tries else None,
    }


def _opened(model: str, ways: Sequence[str]) -> ReasoningEmbedder:
    """The model, checked together with the ways before anything is drawn; errors as `run`."""
    embedder = open_embedder(model)
    if not isinstance(embedder, ReasoningEmbedder):
        raise BadInput(f"{model!r} does not reason; name a model of `imagescope train cir-cot`")
    if unknown := [name for name in ways if name not in WAYS]:
        raise BadInput(f"there is no way {unknown[0]!r}; choose among {', '.join(WAYS)}")
    return embedder


def composer_told(embedder: str) -> str:
    """What taught the composer that a profile names as its embedder; of another embedder, its name."""
    kind, _, place = embedder.partition(":")
    if kind != "composer":
        return f"the embedder {embedder}"
    made = read_card(located(place)).trained
    return (
        f"a composer of {made.get('triplets')} triplets ({', '.join(made.get('files', []))}), {made.get('steps')} "
        "steps: where these are drawn with their truth (`imagescope scenes chains`), an upper bound of what an "
        "agent's triplets teach"
    )


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
    given: Mapping[str, Any],
) -> list[dict[str, Any]]:
    graph, settings, part = WAYS[name]
    opened = open_services(profile, folder)
    changed: dict[str, Any] = {part: embedder} if part else {}
    built = load_graph(graph)(replace(opened, **changed))
    chosen = Settings(k=DEPTH, **given, **settings)

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
        "verdicts": sum(entry["calls"] for entry in state["usage"] if entry["step"] == "verify"),
        "true": told,
        "lead": lead(state),
    }


def _parts(query: DrawnQuery, scenes: Mapping[str, Scene], apart: Sequence[str]) -> list[str]:
    """Those that a query gives as its instruction, or that its reference or a target shows."""
    shown = [scenes[name] for name in (query.reference, *query.targets) if name is not None]
    return [part for part in apart if query.kind == part or shows(shown, [part])]


def _means(rows: Sequence[Mapping[str, Any]], apart: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: round(sum(row[name] for row in rows) / len(rows), 2) for name in ("calls", "verdicts", "tokens")
    }
    for kind in ("cir", "tir"):
        ranks = [row["rank"] for row in rows if row["kind"] == kind]
        found[kind] = {f"R@{k}": _share(rank < k for rank in ranks) for k in AT}
    told = [row["true"] for row in rows if row["true"] is not None]
    found["true"] = round(sum(told) / len(told), 4) if told else None
    composed = [row for row in rows if row["kind"] == "cir"]
    groups = {part: [row for row in composed if part in row["parts"]] for part in apart}
    if apart:
        groups[REST] = [row for row in composed if not row["parts"]]
    found["apart"] = {
        part: {"queries": len(some), "R@1": _share(row["rank"] < 1 for row in some)}
        for part, some in groups.items()
    }
    return found


def _share(right: Iterable[bool]) -> float | None:
    """In per cent; None of nothing."""
    given = list(right)
    return round(100 * sum(given) / len(given), 1) if given else None


def describe(measured: Mapping[str, Any]) -> str:
    """The measurement as Markdown."""
    header = [
        "way",
        *(f"{kind} R@{k}" for kind in ("cir", "tir") for k in AT),
        "calls",
        "verdicts",
        "tokens written",
    ]
    rows = [
        [
            name,
            *(f"{each[kind][f'R@{k}']:.1f}" for kind in ("cir", "tir") for k in AT),
            f"{each['calls']:.2f}",
            f"{each['verdicts']:.2f}",
            f"{each['tokens']:.1f}",
        ]
        for name, each in measured["ways"].items()
    ]
    lines = [f"{measured['queries']} queries.", "", markdown_table(header, rows)]
    lines += [
        f"{name} is left out: it needs a profile with a trained composer, {_GIVE}."
        for name in measured["left_out"]
    ]
    if measured["composer"] and MRA in measured["ways"]:
        lines.append(f"{MRA} has {measured['composer']}.")
    lines += _apart_table(measured["ways"])
    lines += [
        f"{name}: the conclusion is true of {each['true']:.1%} of the first results that are right."
        for name, each in measured["ways"].items()
        if each["true"] is not None
    ]
    lines += describe_curve(measured["threshold"])
    for name, share in (measured["followed"] or {}).items():
        lines.append(f"Edited chains ({name}): the picture of the new colour comes first in {share:.1%}.")
    return "\n".join(lines)


def _apart_table(ways: Mapping[str, Any]) -> list[str]:
    """R@1 of the composed queries by the parts they were told apart by; nothing where they were not."""
    parts = {part: each["queries"] for row in ways.values() for part, each in row["apart"].items()}
    if not parts:
        return []
    header = ["composed R@1", *(f"{part} ({count})" for part, count in parts.items())]
    shares = [[name, *(row["apart"][part]["R@1"] for part in parts)] for name, row in ways.items()]
    rows = [[name, *("" if each is None else f"{each:.1f}" for each in found)] for name, *found in shares]
    return [markdown_table(header, rows)]

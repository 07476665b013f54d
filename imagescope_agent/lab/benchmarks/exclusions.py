"""Whether an embedder keeps away what words exclude: "a photo of a dog without a ball", on captioned photos."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets import folder
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.nodes.retrieve import text_vectors
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.images import load
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.stems import words_of
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.services import open_embedder_of

BATCH, FIRST = 32, 5
LEAST, SHARE = (
    3,
    0.15,
)  # photos with both things and with one alone; share of those with one that show the other too
WEIGHTS = (0.2, 0.35, 0.5, 0.7, 1.0)
WITHOUT = "a photo of a {} without a {}"
HEAD = ("query", "weight", "mAP", f"right in first {FIRST}", f"excluded in first {FIRST}")
_THING = re.compile(r"\b(?:an?|the)\s+(?:\w+\s+)?([a-z]{3,})\b")


def run(*, root: Path, profile: str = "photos") -> dict[str, Any]:
    """Ask for one thing without another, for all pairs of things that captions name together and apart.

    A photo is right when two of its captions name the first thing and none names the second; it shows the excluded
    thing when two name that.

    Args:
        root: a folder with captions (`evaluation.datasets.folder`).
        profile: whose embedder is asked.

    Returns:
        {"bench", "photos", "pairs", "rows": [{"query", "weight", "map", "right", "excluded"}], "machine"}.

    Raises:
        BadInput: no two things are named together and apart often enough.
    """
    captions = _captions(root)
    names = list(captions)
    embedder = open_embedder_of(load_profile(profile))
    photos = _vectors(root, names, embedder)
    counts, spoken = _things(list(captions.values()))
    pairs = [
        (a, b)
        for a, b in permutations(counts, 2)
        if min(_both(counts, a, b), _alone(counts, a, b).sum()) >= LEAST
        and _both(counts, a, b) >= SHARE * (counts[a] >= 2).sum()
    ]
    if not pairs:
        raise BadInput("the captions name no two things together and apart; give a larger captioned folder")
    rows = _rows(embedder, photos, counts, spoken, pairs)
    return {
        "bench": "exclusions",
        "photos": len(names),
        "pairs": len(pairs),
        "rows": rows,
        "machine": machine(),
    }


def _rows(
    embedder: Embedder,
    photos: Vectors,
    counts: Mapping[str, np.ndarray],
    spoken: Mapping[str, str],
    pairs: Sequence[tuple[str, str]],
) -> list[dict[str, Any]]:
    """A row for each way of asking, the means over all pairs."""
    rows = []
    for words, weight in (("a photo of a {}", 0.0), *((WITHOUT, weight) for weight in (0.0, *WEIGHTS))):
        found = []
        for a, b in pairs:
            text = words.format(spoken[a], spoken[b])
            scores = photos @ text_vectors([text], embedder, weight)[0]
            found.append(_measure(scores, _alone(counts, a, b), counts[b] >= 2))
        average, right, excluded = map(float, np.mean(found, axis=0))
        rows.append({"query": words, "weight": weight, "map": average, "right": right, "excluded": excluded})
    return rows


def describe(measured: Mapping[str, Any]) -> str:
    """A table and the machine."""
    rows = [
        [row["query"], row["weight"], *(f"{100 * row[name]:.1f}" for name in ("map", "right", "excluded"))]
        for row in measured["rows"]
    ]
    table = markdown_table(HEAD, rows).strip()
    said = f"{measured['photos']} photos, {measured['pairs']} pairs of things; per cent"
    return "\n\n".join([said, table, describe_machine(measured["machine"])])


def _captions(root: Path) -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    for query in folder.load(root).queries:
        if query.reference is None and len(query.relevant) == 1:
            found.setdefault(next(iter(query.relevant)), []).append(query.text.lower())
    return found


def _vectors(root: Path, names: Sequence[str], embedder: Embedder) -> Vectors:
    chunks = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
    shown = tqdm(chunks, desc="photos", disable=None)
    return np.concatenate([embedder.images([load(root / name).image for name in chunk]) for chunk in shown])


def _things(captions: Sequence[Sequence[str]]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """How many captions of each photo name a thing, (n,), by its stem; and each stem's most frequent word."""
    spoken = dict[str, Counter[str]]()
    for text in (text for each in captions for text in each):
        for word in _THING.findall(text):
            for stem in words_of(word):
                spoken.setdefault(stem, Counter())[word] += 1
    named = [Counter(stem for text in each for stem in set(words_of(text))) for each in captions]
    counts = {stem: np.array([row[stem] for row in named]) for stem in spoken}
    often = {stem: row for stem, row in counts.items() if (row >= 2).sum() >= 2 * LEAST}
    return often, {stem: spoken[stem].most_common(1)[0][0] for stem in often}


def _both(counts: Mapping[str, np.ndarray], a: str, b: str) -> int:
    return int(((counts[a] >= 2) & (counts[b] >= 2)).sum())


def _alone(counts: Mapping[str, np.ndarray], a: str, b: str) -> np.ndarray:
    found: np.ndarray = (counts[a] >= 2) & (counts[b] == 0)
    return found


def _measure(scores: np.ndarray, right: np.ndarray, excluded: np.ndarray) -> tuple[float, float, float]:
    """Average precision, and the shares of right photos and of those with the excluded thing among the first."""
    order = np.argsort(-scores, kind="stable")
    hits = right[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return (
        float((precision * hits).sum() / hits.sum()),
        float(hits[:FIRST].mean()),
        float(excluded[order][:FIRST].mean()),
    )

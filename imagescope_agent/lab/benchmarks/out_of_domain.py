"""Whether embedded models say what they do not know: photos under mini, drawn scenes under photos, everyday queries."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.api import ImageScope, index_folder
from imagescope_agent.evaluation.reporting.tables import markdown_table
from imagescope_agent.lab.benchmarks.drawn import read_queries
from imagescope_agent.lab.benchmarks.everyday_queries import QUERIES
from imagescope_agent.lab.benchmarks.machine import describe_machine, machine
from imagescope_agent.lab.scenes.make import make_world
from imagescope_agent.nodes.intent.drift import content_words
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.blind_spots import BLIND_SPOTS, blind_words
from imagescope_agent.retrieval.images import load, scan
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.services import open_embedder_of

BATCH = 32
SEARCHED = 60  # pictures that everyday queries are asked of; what is noted of a query does not depend on them
PROFILES = ("mini", "photos")
PICTURES = ("profile", "pictures", "count", "said to be of another kind")
ASKED = ("profile", "queries", "asked", "right", "told", "other words, no note")
#: Kinds of note that tell of a query that it was not, or not all, understood.
TOLD = frozenset({"drifted", "outside", "unchecked", "fallback", "refused", "unreadable", "contradiction"})


def run(*, photos: Path | None = None, drawn: int = 500, most: int = 500, seed: int = 0) -> dict[str, Any]:
    """Measure the notices of the profiles `mini` and `photos`.

    Args:
        photos: a folder of photos, in which queries are asked, too; None asks them of drawn scenes.
        drawn: how many scenes are drawn.
        most: photos that are looked at.
        seed: of the scenes.

    Returns:
        {"bench", "machine", "pictures": {profile: {kind: {"pictures", "outside": share, each judged alone}}},
        "queries": {profile: {sort: {"asked", "right", "told", "other": no note, other words}}}}; a query is right when
        it has no note and the texts that were searched with hold its words; "other" is the most that can be wrong
        without a note. The sort "drawn" is of queries of drawn scenes, which mini should not tell of.

    Raises:
        BadInput: there are no photos in the folder.
        MissingExtra: the extra `photos` is missing.
    """
    with tempfile.TemporaryDirectory(prefix="imagescope-bench-") as place:
        root = Path(place) / "world"
        make_world(root, seed, drawn)
        kinds = {"drawn scenes": root / "images"} | ({"photos": photos} if photos is not None else {})
        embedders = {name: open_embedder_of(load_profile(name)) for name in PROFILES}
        pictures = {
            name: {kind: _outside(embedder, folder, most) for kind, folder in kinds.items()}
            for name, embedder in embedders.items()
        }
        few = Path(place) / "few"
        make_world(few, seed + 1, SEARCHED)
        drawn_texts = [query.text for query in read_queries(few, SEARCHED // 2) if query.reference is None]
        searched = few / "images" if photos is None else photos
        queries = {name: _queries(searched, Path(place) / name, name, drawn_texts) for name in PROFILES}
    return {"bench": "out-of-domain", "machine": machine(), "pictures": pictures, "queries": queries}


def _outside(embedder: Embedder, folder: Path, most: int) -> dict[str, Any]:
    """The share of a folder's pictures that the embedder's domain takes for another kind."""
    found = scan(folder)[0][:most]
    chunks = [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
    vectors: Vectors = np.concatenate(
        [
            embedder.images([load(folder / each.id).image for each in chunk])
            for chunk in tqdm(chunks, disable=None)
        ]
    )
    domain = getattr(embedder, "domain", None)
    return {"pictures": len(vectors), "outside": 0.0 if domain is None else domain.outside(vectors)}


def _queries(folder: Path, index: Path, profile: str, drawn: Sequence[str]) -> dict[str, dict[str, int]]:
    """What a profile makes of queries, by sort; the graph is the profile's own."""
    index_folder(folder, out=index, profile=profile, captions="none", progress=False)
    scope = ImageScope.open(index, profile=profile, runs=False, traces=False)
    counts = dict[str, dict[str, int]]()
    asked = {**QUERIES, **({"drawn": drawn} if profile == "mini" else {})}
    for sort, texts in asked.items():
        of_sort = counts[sort] = {"asked": len(texts), "right": 0, "told": 0, "other": 0}
        for text in texts:
            of_sort[_outcome(scope, text)] += 1
    return counts


def _outcome(scope: ImageScope, text: str) -> str:
    """Whether a query was told, else right or in other words; what is said of the collection alone does not count."""
    found = scope.search(text)
    if any(map(_of_query, found.notes)):
        return "told"
    return "right" if _holds(found.intent, text) else "other"


def _holds(intent: Mapping[str, Any], text: str) -> bool:
    """Whether an intent holds a query's words, those that turn its meaning ("without", "two", "under") among them."""
    steps = intent.get("steps", ())
    said = " ".join([intent.get("full") or text, *(step["text"] for step in steps)])
    turned = blind_words(text, BLIND_SPOTS)
    if any(step["type"] == "Removal" for step in steps):
        turned.pop("exclusions", None)
    kept = blind_words(said, BLIND_SPOTS)
    return content_words(text) <= content_words(said) and all(
        set(words) <= set(kept.get(sort, ())) for sort, words in turned.items()
    )


def _of_query(note: Mapping[str, Any]) -> bool:
    return note["kind"] in TOLD and "of the pictures look" not in note["detail"]


def describe(measured: Mapping[str, Any]) -> str:
    """Two tables and the machine."""
    pictures = [
        [profile, kind, row["pictures"], f"{100 * row['outside']:.1f} %"]
        for profile, kinds in measured["pictures"].items()
        for kind, row in kinds.items()
    ]
    queries = [
        [profile, sort, *row.values()]
        for profile, sorts in measured["queries"].items()
        for sort, row in sorts.items()
    ]
    return "\n\n".join(
        [
            markdown_table(PICTURES, pictures, text_columns=2).strip(),
            markdown_table(ASKED, queries, text_columns=2).strip(),
            describe_machine(measured["machine"]),
        ]
    )

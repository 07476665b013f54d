"""`imagescope demo --photos FOLDER`: the reader's own pictures indexed, searched, and shown on a page.

Nobody has said what is in them, so of a list of everyday things those are asked that stand out most in the folder: a
thing whose best picture is far nearer than the other pictures are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.html_templates import html_environment

if TYPE_CHECKING:
    from imagescope_agent.retrieval.collection import FolderCollection
    from imagescope_agent.retrieval.protocols import Embedder
    from imagescope_agent.retrieval.vectors import Vectors
    from imagescope_agent.runs.results import SearchResult

ASKED, SHOWN = 6, 8  # queries, and pictures of each
LOOKED_AT = 2000  # pictures at most by which the queries are chosen
EVERYDAY = (
    "people at a table with food", "a dog", "a cat", "a bird", "a horse", "flowers", "a child playing",
    "a portrait of a person", "a group of people", "somebody riding a bicycle", "a car on a street",
    "a train at a station", "an airplane", "a boat on the water", "a beach and the sea", "mountains with snow",
    "a forest or a park", "a sunset", "a city at night", "a kitchen", "a bedroom", "a bathroom",
    "a desk with a computer", "a plate of food", "a cake", "fruit or vegetables", "a sports game",
    "somebody surfing", "somebody skiing", "a musician with an instrument", "a building or a church",
    "a bridge", "a clock", "a traffic light or a sign", "an animal on a farm", "a wedding",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PhotoDemo:
    """The page that was written, the results on it, and the seconds that everything took."""

    page: Path
    results: tuple[SearchResult, ...]
    seconds: float


def run_photo_demo(
    folder: Path, out: Path, *, say: Callable[[str], None], queries: Sequence[str] = ()
) -> PhotoDemo:
    """Index a folder of pictures, search it, and write `out`/index.html.

    Args:
        folder: the pictures, at any depth; its index goes where `imagescope index` puts it.
        out: folder of the page.
        say: called with one line per step.
        queries: what to ask; when empty, what stands out among `EVERYDAY`.

    Raises:
        BadInput: no folder, no picture in it, or no place to write to.
    """
    from imagescope_agent.api import ImageScope, index_folder

    started = time.perf_counter()
    out.mkdir(parents=True, exist_ok=True)  # an unusable one is told before anything is indexed
    say(f"indexing {folder}; the pictures are not touched")
    for line in str(index_folder(folder)).splitlines():
        say(line)
    scope = ImageScope.open(folder)
    asked = list(queries) or standing_out(scope.services.embedder, scope.services.collection)
    say(f"asking {len(asked)} queries with the profile {scope.services.profile}")
    results = tuple(scope.search(text, k=SHOWN) for text in asked)
    seconds = time.perf_counter() - started
    facts = {"images": len(scope.services.collection), "profile": scope.services.profile, "seconds": seconds}
    pages = html_environment("imagescope_agent.lab.demo")
    rows = [Markup(result._repr_html_()) for result in results]  # it has escaped what comes from data
    html = pages.get_template("photos.html.j2").render(rows=rows, facts=facts, folder=str(folder))
    write_atomic(out / "index.html", html)
    return PhotoDemo(page=out / "index.html", results=results, seconds=seconds)


def standing_out(embedder: Embedder, collection: FolderCollection) -> list[str]:
    """The `ASKED` everyday queries whose best picture stands out most from the collection, most first."""
    step = -(-len(collection.ids) // LOOKED_AT)
    pictures = np.stack([collection.image_vector(name) for name in collection.ids[::step]])
    return [EVERYDAY[row] for row in _most_peaked(embedder.texts(EVERYDAY) @ pictures.T)[:ASKED]]


def _most_peaked(alike: Vectors) -> list[int]:
    """Rows of (queries, pictures) cosines by how far the best is above the mean, in deviations of the row."""
    peaks = (alike.max(axis=1) - alike.mean(axis=1)) / (alike.std(axis=1) + 1e-6)
    return [int(row) for row in np.argsort(-peaks, kind="stable")]

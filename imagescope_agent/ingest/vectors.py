"""Vectors that exist already into an index, and those of an index into files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.indexing import index_folder
from imagescope_agent.ingest.vector_files import (
    VectorFiles,
    match_names,
    read_vectors,
    unit_row,
    write_clip_retrieval,
    write_plain,
)
from imagescope_agent.profile_choice import choose_profile
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.embedders import open_embedder
from imagescope_agent.retrieval.image_files import find_images
from imagescope_agent.retrieval.images import digest, load
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache
from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE, Entry
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.index.rows import Content
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Embedder, Space
from imagescope_agent.retrieval.spaces import put_space
from imagescope_agent.retrieval.stores import open_vectors
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.services import open_embedder_of

SAMPLE = 8  # pictures that are embedded to see whether the vectors are what they are said to be
ALIKE = 0.99  # cosine; half precision changes a thousandth of that
BATCH = 1024


@dataclass(frozen=True, kw_only=True)
class Import:
    """What was imported: how many vectors were used, and how many are of no image here."""

    used: int
    foreign: int


def import_vectors(
    folder: Path, source: Path, *, profile: str | None = None, captions: str | None = None
) -> tuple[Import, IndexReport]:
    """Index a folder with vectors that its profile's embedder made elsewhere; what has none is embedded here.

    The pictures are hashed and not decoded, but a few, which are embedded again for comparison.

    Args:
        folder: the images, indexed or not.
        source: as `read_vectors` takes it.
        profile: which models; as in `index_folder`.
        captions: as in `index_folder`; in a new index "lazy", so that it is searched at once.

    Raises:
        BadInput: the files or the folder are unusable, the vectors are not of this embedder, or of no image here.
        MissingExtra: a table needs the extra `parquet`.
    """
    files, place = read_vectors(source), folder / manifest.FOLDER_INDEX
    found, _ = find_images(folder, None, None, manifest.patterns_of(folder, None))
    chosen = profile or choose_profile(folder, place, found)
    embedder: Embedder = open_embedder_of(load_profile(chosen))
    places, foreign = _matched(files, [item.id for item in found], source)
    _require_made_by(files, places, folder, embedder, f"the embedder of the profile {chosen!r}")
    used = 0
    with IndexCache(place) as cache:
        contents: dict[str, Content] = {}
        for name, where in places.items():
            key = digest(folder / name)
            if key not in contents and not cache.done(key):
                row = unit_row(files, where, name)
                contents[key] = Content(key=key, caption=None, image=row, words=row)
                used += 1
            if len(contents) == BATCH:
                cache.record([*contents.values()], [])
                contents = {}
        cache.record([*contents.values()], [])
    if captions is None and not (place / manifest.MANIFEST).is_file():
        captions = "lazy"
    return Import(used=used, foreign=foreign), index_folder(folder, profile=profile, captions=captions)


def import_space(
    collection: Path, source: Path, name: str, *, embedder: str | None = None, store: str = DEFAULT_STORE
) -> Import:
    """Add vectors to an indexed folder as a space of their own; every image needs one.

    Args:
        collection: the indexed folder, or the index where it lies elsewhere.
        source: as `read_vectors` takes it.
        name: of the space.
        embedder: KIND:PLACE of what made them, which is checked; None where nothing here embeds queries for them.
        store: the store of the user's own profile.

    Raises:
        BadInput: the files or the name are unusable, an image has no vector, or `embedder` did not make them.
        MissingExtra: a table needs the extra `parquet`.
    """
    files, out = read_vectors(source), manifest.find(collection)
    content = manifest.read(out)
    places, foreign = _matched(files, content.ids, source)
    if missing := [each for each in content.ids if each not in places]:
        raise BadInput(
            f"{len(missing)} of {len(content.ids)} images have no vector in {str(source)!r}, "
            f"{shorten(missing[0])!r} first; a space needs one for every image"
        )
    if embedder is not None:
        maker = open_embedder(embedder)
        folder = real_path(out / content.folder)
        _require_made_by(files, places, folder, maker, f"the embedder {embedder!r}")
        weights = maker.weights
    else:
        weights = files.weights or f"imported:{_fingerprint(files)}"
    space = Space(name=name, dimension=files.dimension, weights=weights)

    def rows(_: Path, entries: Sequence[Entry]) -> Iterator[Vectors]:
        for start in range(0, len(entries), BATCH):
            ids = [entry.id for entry in entries[start : start + BATCH]]
            yield np.stack([unit_row(files, places[each], each) for each in ids])

    put_space(collection, space, rows, store=store)
    return Import(used=len(places), foreign=foreign)


def export_vectors(
    collection: Path,
    out: Path,
    *,
    space: str = IMAGE,
    form: Literal["npy", "clip-retrieval"] = "npy",
    store: str = DEFAULT_STORE,
) -> int:
    """Write the vectors of a space into a new folder, in order of ids; returns their number.

    Args:
        collection: the indexed folder, or the index where it lies elsewhere.
        out: the new folder.
        space: "image", "caption" or another of the index.
        form: vectors.npy with ids.txt, or the folders of clip-retrieval.
        store: the store of the user's own profile.

    Raises:
        BadInput: no such space, or the folder holds something.
        MissingExtra: clip-retrieval needs the extra `parquet`.
    """
    location = manifest.find(collection)
    content = manifest.read(location)
    spaces = {each.name: each for each in content.all_spaces}
    if space not in spaces:
        raise BadInput(f"the collection has no vector space {space!r}; {suggest(space, spaces)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{str(out)!r} holds something; choose a new folder")
    out.mkdir(parents=True, exist_ok=True)
    vectors, chosen = open_vectors(location, content, store=store), spaces[space]
    rows = (vectors.vector(space, name) for name in content.ids)
    if form == "npy":
        about = {"space": space, "dimension": chosen.dimension, "weights": chosen.weights}
        write_plain(out, content.ids, rows, about)
    else:
        captions = [entry.caption or "" for entry in content.entries]
        write_clip_retrieval(out, content.ids, rows, chosen.dimension, captions)
    return len(content.ids)


def _matched(files: VectorFiles, ids: Sequence[str], source: Path) -> tuple[dict[str, tuple[int, int]], int]:
    places, foreign = match_names(files, ids)
    if not places:
        name = next((names[0] for names, _ in files.parts if len(names)), "")
        raise BadInput(
            f"no vector in {str(source)!r} is of an image here ({shorten(name)!r} is the first); their names must be "
            "ids of the images or end with them"
        )
    return {name: places[name] for name in ids if name in places}, foreign


def _require_made_by(
    files: VectorFiles, places: dict[str, tuple[int, int]], folder: Path, embedder: Embedder, called: str
) -> None:
    """Make sure that an embedder gives these vectors: their length, what the files say, and a few of them.

    Raises:
        BadInput: it does not.
    """
    mend = (
        f"name what made them, or import them as a space of their own (--space, not {IMAGE!r} or {CAPTION!r})"
    )
    if files.dimension != embedder.dimension:
        raise BadInput(
            f"the vectors have {files.dimension} numbers, those of {called} {embedder.dimension}; {mend}"
        )
    if files.weights and files.weights != embedder.weights:
        raise BadInput(
            f"the vectors say that {shorten(files.weights, 24)!r} made them, and {called} is "
            f"{shorten(embedder.weights, 24)!r}; {mend}"
        )
    names = list(places)[:: max(1, len(places) // SAMPLE)][:SAMPLE]
    ours = np.asarray(embedder.images([load(folder / name).image for name in names]))
    for name, row in zip(names, ours, strict=True):
        cosine = float(row @ unit_row(files, places[name], name))
        if cosine < ALIKE:
            raise BadInput(
                f"{called} gives another vector for {shorten(name)!r} (cosine {cosine:.2f}); {mend}"
            )


def _fingerprint(files: VectorFiles) -> str:
    whole = hashlib.sha256()
    for _, rows in files.parts:
        for start in range(0, len(rows), BATCH):
            whole.update(np.ascontiguousarray(rows[start : start + BATCH]).tobytes())
    return whole.hexdigest()[:16]

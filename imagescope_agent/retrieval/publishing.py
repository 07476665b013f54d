"""Publish an index from the cache: vectors, fields and, last, the manifest."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval import manifest
from imagescope_agent.retrieval.captions.lazy import forget_captions
from imagescope_agent.retrieval.domain import said_of, sample
from imagescope_agent.retrieval.images import ImageProblem, inside
from imagescope_agent.retrieval.index_cache import IndexCache, storing
from imagescope_agent.retrieval.manifest import Entry, Manifest
from imagescope_agent.retrieval.metadata.collect import gather
from imagescope_agent.retrieval.metadata.exif import read_file_fields, whole_fields
from imagescope_agent.retrieval.metadata.kinds import Value
from imagescope_agent.retrieval.metadata.table import write_fields
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Embedder, Space, StoreBackend
from imagescope_agent.retrieval.spaces import still_valid
from imagescope_agent.retrieval.stores import tidy

CHUNK = 1024  # files whose fields are kept at once


def publish(
    folder: Path, out: Path, cache: IndexCache, embedder: Embedder, backend: StoreBackend, **about: Any
) -> list[NoteDict]:
    """Write what the cache holds as the index that readers see; returns notes on what they should know.

    Args:
        folder: of the images.
        out: of the index.
        cache: of the folder, with nothing in it that is not indexed.
        embedder: made the vectors.
        backend: keeps them.
        about: the other fields of `Manifest`.

    Raises:
        BadInput: a disk that is full or read-only, or fields that nothing here reads.
    """
    with storing(out):
        try:
            entries = tuple(cache.entries())
            content, notes = _content(folder, out, cache, embedder, backend, entries)
            content = replace(content, **about)
            spaces, lost = still_valid(out, content, backend)
            manifest.write(out, replace(content, spaces=spaces))
            with suppress(sqlite3.Error):  # a caption that stays there too does no harm
                forget_captions(out, [entry.key for entry in entries if entry.caption is not None])
            return [*notes, *lost, *_foreign(embedder, cache, entries)]
        finally:
            with suppress(OSError, BadInput):  # must not hide the first error
                tidy(out, about["store"])


def _content(
    folder: Path,
    out: Path,
    cache: IndexCache,
    embedder: Embedder,
    backend: StoreBackend,
    entries: tuple[Entry, ...],
) -> tuple[Manifest, list[NoteDict]]:
    """The manifest over what is written here, and notes on fields that cannot be used."""
    columns, notes = gather(folder, [entry.id for entry in entries], _of_files(folder, entries, cache))
    image, caption = (
        _written(out, cache, embedder, backend, entries, name, column)
        for name, column in ((IMAGE, "image"), (CAPTION, "words"))
    )
    content = Manifest(
        folder=manifest.folder_as_stored(folder, out),
        embedder=embedder.weights,
        captioner="",
        dimension=embedder.dimension,
        image_vectors=image,
        caption_vectors=caption,
        entries=entries,
        skipped=(),
        fields=write_fields(out, columns),
    )
    return content, notes


def _written(
    out: Path,
    cache: IndexCache,
    embedder: Embedder,
    backend: StoreBackend,
    entries: Sequence[Entry],
    name: str,
    column: str,
) -> dict[str, Any]:
    space = Space(name=name, dimension=embedder.dimension, weights=embedder.weights)
    return backend.write(out, [entry.id for entry in entries], space, cache.vectors(column))


def _of_files(folder: Path, entries: Sequence[Entry], cache: IndexCache) -> dict[str, Mapping[str, Value]]:
    """What each file says of itself, by id; each content is looked at once, ever."""
    found = {key: whole_fields(value) for key, value in cache.file_fields().items()}
    new: dict[str, Mapping[str, Value]] = {}
    for entry in entries:
        if found.get(entry.key) is None:
            try:
                found[entry.key] = new[entry.key] = read_file_fields(inside(folder, entry.id))
            except (ImageProblem, OSError):
                found[entry.key] = {}  # gone since; the next run tells
        if len(new) == CHUNK:
            cache.record_fields(new)
            new = {}
    cache.record_fields(new)
    return {entry.id: found[entry.key] or {} for entry in entries}


def _foreign(embedder: Embedder, cache: IndexCache, entries: Sequence[Entry]) -> list[NoteDict]:
    """A note where the pictures are unlike what the embedder was trained on."""
    some = cache.vectors("image", sample([entry.id for entry in entries]))
    said = said_of(embedder, np.concatenate(list(some)))
    return [note("index", "outside", said)] if said else []

"""Publish an index from the cache: vectors, fields and, last, the manifest."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.captions.lazy import forget_captions
from imagescope_agent.retrieval.domain import said_of, sample
from imagescope_agent.retrieval.images import ImageProblem, inside
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache, storing
from imagescope_agent.retrieval.index.manifest import Entry, Manifest
from imagescope_agent.retrieval.metadata.collect import gather
from imagescope_agent.retrieval.metadata.exif import read_file_fields, whole_fields
from imagescope_agent.retrieval.metadata.kinds import Value
from imagescope_agent.retrieval.metadata.table import Column, write_fields
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Embedder, Space, StoreBackend
from imagescope_agent.retrieval.spaces import still_valid
from imagescope_agent.retrieval.stores import kept_name, tidy
from imagescope_agent.retrieval.stores.joint import DEFAULT_INDEX, Records, write_spaces

CHUNK = 1024  # files whose fields are kept at once


def publish(
    folder: Path,
    out: Path,
    cache: IndexCache,
    embedder: Embedder,
    backend: StoreBackend,
    *,
    index: str = DEFAULT_INDEX,
    tell: Callable[[str], None] = lambda _: None,
    **about: Any,
) -> list[NoteDict]:
    """Write what the cache holds as the index that readers see; returns notes on what they should know.

    Args:
        folder: of the images.
        out: of the index.
        cache: of the folder, with nothing in it that is not indexed.
        embedder: made the vectors.
        backend: keeps them.
        index: how nearest vectors are looked for (see `manifest.INDEX_KINDS`).
        tell: is told in a line what index was built.
        about: the other fields of `Manifest`.

    Raises:
        BadInput: a disk that is full or read-only, or fields that nothing here reads.
    """
    with storing(out):
        try:
            entries = tuple(cache.entries())
            written = partial(_written, out, cache, embedder, backend, entries, index=index, tell=tell)
            content, notes = _content(folder, out, cache, embedder, entries, written)
            content = replace(content, index=index, **{**about, "store": kept_name(about["store"])})
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
    entries: tuple[Entry, ...],
    written: Callable[[Mapping[str, Column]], list[dict[str, Any]]],
) -> tuple[Manifest, list[NoteDict]]:
    """The manifest over what is written here, and notes on fields that cannot be used."""
    columns, notes = gather(folder, [entry.id for entry in entries], _of_files(folder, entries, cache))
    image, caption = written(columns)
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
    columns: Mapping[str, Column],
    **options: Any,
) -> list[dict[str, Any]]:
    """What the store keeps of the two spaces, once it has written them."""
    spaces = [
        Space(name=name, dimension=embedder.dimension, weights=embedder.weights) for name in (IMAGE, CAPTION)
    ]
    vectors = [cache.vectors(column) for column in ("image", "words")]
    keys, captions = [entry.key for entry in entries], [entry.caption for entry in entries]
    records = Records(keys=keys, captions=captions, columns=columns)
    ids = [entry.id for entry in entries]
    return write_spaces(backend, out, ids, spaces, vectors, records=records, **options)


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

"""Move an index from one vector store to another: the same ids, vectors, captions and fields, and so the same rankings.

Readers see the old store until all is in the new one, which the manifest then names. Stopped before that, the next run
goes on: databases keep the rows that they have; files are written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache, storing
from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE, Manifest
from imagescope_agent.retrieval.metadata.table import FieldTable
from imagescope_agent.retrieval.protocols import Space, StoreBackend, StoredSpace, VectorStore
from imagescope_agent.retrieval.stores import kept_name, open_store, spec_of, tidy
from imagescope_agent.retrieval.stores.joint import ReadableStore, Records, require_index, write_spaces
from imagescope_agent.retrieval.stores.joint_rows import keep_owner
from imagescope_agent.retrieval.vectors import Vectors

CHUNK = 4096  # vectors that are read at once
PROBE = 8  # numbers of a vector that tells two stores apart


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """What was moved: kinds of store before and after, and numbers of images and spaces."""

    before: str
    after: str
    images: int
    spaces: int


def migrate(
    folder: Path | str,
    to: str,
    *,
    store: str = DEFAULT_STORE,
    index: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Migrated:
    """Write an index into another store, then publish it from there, then remove it from the old one.

    Args:
        folder: the indexed folder or the folder of the index.
        to: the new store, as `stores.open_store` takes it.
        store: the old one, where the user's own profile names it.
        index: one of `manifest.INDEX_KINDS`; None for the one that the index has.
        tell: is told in a line what is done.

    Raises:
        BadInput: nothing is indexed there, an unusable store, another indexer at work, or a full disk.
        BackendUnavailable: a database does not answer; what was written is kept.
        MissingExtra: the store needs an extra.
    """
    require_index(index or "auto")
    out, new = manifest.find(Path(folder)), open_store(to)
    with IndexCache(out), storing(out):  # the cache keeps indexers away
        content = manifest.read(out)
        old_spec, before = spec_of(out, content, store=store), kept_name(content.store)
        old_backend = open_store(old_spec)
        if old_spec == to and index in (None, content.index):
            raise BadInput(f"the index is in the store {before!r} already; name another")
        old = _opened(out, content, old_backend)
        moved = _written(out, content, old, new, index or content.index, tell)
        new.open(out, content.ids, moved.all_spaces)  # the old one goes only when the new one can be read
        manifest.write(out, replace(moved, store=kept_name(to)))
        if old_spec != to:
            _remove_old(out, old_backend, new, same_kind=before == kept_name(to))
        with suppress(OSError, BadInput, BackendUnavailable):
            tidy(out, to)
    counts = {"images": len(content.ids), "spaces": len(content.all_spaces)}
    return Migrated(before=before, after=kept_name(to), **counts)


def _opened(out: Path, content: Manifest, backend: StoreBackend) -> VectorStore:
    try:
        return backend.open(out, content.ids, content.all_spaces)
    except FileNotFoundError as error:
        raise manifest.damaged(out, f"{Path(error.filename).name} is missing") from error


def _written(
    out: Path, content: Manifest, old: VectorStore, new: StoreBackend, index: str, tell: Callable[[str], None]
) -> Manifest:
    """The manifest of what the new store has: the default spaces together, each further one apart."""
    default, further = content.all_spaces[:2], content.all_spaces[2:]
    # of all that is written: rows of a run that was stopped stay only where nothing of the index changed since
    source = hashlib.sha256((out / manifest.MANIFEST).read_bytes()).hexdigest()
    token = hashlib.sha256(f"{source}\n{index}".encode()).hexdigest()

    def write(spaces: Sequence[StoredSpace], kind: str, records: Records | None) -> list[dict[str, Any]]:
        rows = [vectors_of(old, space.name, content.ids) for space in spaces]
        name = hashlib.sha256(f"{token}{spaces[0].name}".encode()).hexdigest()[:8]
        plain = [Space(name=each.name, dimension=each.dimension, weights=each.weights) for each in spaces]
        return write_spaces(
            new, out, content.ids, plain, rows, index=kind, records=records, tell=tell, resume=name
        )

    image, caption = write(default, index, _records(out, content))
    spaces = tuple(replace(space, kept=write([space], "exact", None)[0]) for space in further)
    return replace(content, image_vectors=image, caption_vectors=caption, spaces=spaces, index=index)


def _records(out: Path, content: Manifest) -> Records:
    table = FieldTable(out, content.fields, len(content.entries)) if content.fields else None
    return Records(
        keys=[entry.key for entry in content.entries],
        captions=[entry.caption for entry in content.entries],
        columns={name: table.column(name) for name in table.kinds} if table is not None else {},
    )


def vectors_of(store: VectorStore, space: str, ids: Sequence[str]) -> Iterator[Vectors]:
    """All vectors of a space in order of ids, in chunks (n, d)."""
    for start in range(0, len(ids), CHUNK):
        end = min(start + CHUNK, len(ids))
        if isinstance(store, ReadableStore):
            yield store.read(space, start, end)
        else:
            yield np.stack([store.vector(space, name) for name in ids[start:end]])


def _same_place(out: Path, old: StoreBackend, new: StoreBackend) -> bool:
    """Whether two stores of one kind are one, by another name: what is written into one is in the other."""
    space = Space(name="probe", dimension=PROBE, weights="")
    rows = np.random.default_rng().random((1, PROBE), dtype=np.float32)
    kept = new.write(out, ["probe"], space, [rows])
    try:
        old.open(out, ["probe"], [StoredSpace(**vars(space), kept=kept)])
    except FileNotFoundError:
        return False
    except (OSError, BadInput, BackendUnavailable):  # not known: nothing is removed
        return True
    return True


def _remove_old(out: Path, old: StoreBackend, new: StoreBackend, *, same_kind: bool) -> None:
    """Remove the index from its old store, where that is another one; what fails is removed by a later run.

    Called while indexers are kept away: what one is writing is named by no manifest yet.
    """
    # the tables in the new store are named by the identity
    with suppress(OSError, BadInput, BackendUnavailable), keep_owner(out):
        if not same_kind or not _same_place(out, old, new):
            old.tidy(out, [])

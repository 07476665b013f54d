"""Vector stores: where the vectors of an index are kept and searched. One file and one line here adds one.

An entry is an opener, `(place: str) -> StoreBackend`; one from another package is named "module:attribute".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from imagescope_agent.errors import BackendUnavailable, BadInput, shorten, suggest
from imagescope_agent.registry import resolve_opener
from imagescope_agent.retrieval.index import entries, manifest
from imagescope_agent.retrieval.index.entries import EntryTable
from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE, Manifest
from imagescope_agent.retrieval.metadata.table import tidy_fields
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoreBackend, VectorStore

VARIABLE = "IMAGESCOPE_STORE"  # the user's own store, beside that of the profile
STORES: dict[str, str] = {
    "faiss": "imagescope_agent.retrieval.stores.faiss_flat:open_backend",
    "milvus": "imagescope_agent.retrieval.stores.milvus:open_backend",
    "pgvector": "imagescope_agent.retrieval.stores.pgvector:open_backend",
}


def open_store(spec: str) -> StoreBackend:
    """The kind of store of that name.

    Args:
        spec: KIND[:PLACE] with a kind of `STORES`; from another package `module:attribute[:PLACE]`, an opener as those
            of the table. The place is what the store makes of it, such as the address of a server.

    Raises:
        BadInput: there is no such store or opener.
    """
    opener, place = resolve_opener(spec, STORES, kind="store")
    backend = opener(place)
    if not isinstance(backend, StoreBackend):
        raise BadInput(
            f"{spec!r} opens a {type(backend).__name__}, which is no StoreBackend; see retrieval.protocols"
        )
    return backend


def kept_name(spec: str) -> str:
    """What the manifest keeps of a store: its kind or its opener without the place, which may hold a password."""
    kind, *rest = spec.split(":", 2)
    return kind if kind in STORES else ":".join([kind, *rest[:1]])


def store_to_use(location: Path, named: str) -> str:
    """The store of an index that is brought up to date: the one it is in, unless its user's profile names another.

    Args:
        location: the folder of the index, which need not be there.
        named: the store of the profile; the default one is not counted as named.
    """
    own = os.environ.get(VARIABLE, "")
    if named != DEFAULT_STORE:
        return named
    try:
        made = (location / manifest.MANIFEST).is_file()
        kept = manifest.read(location).store if made else named
    except (OSError, BadInput):
        return named
    return own if own and kept_name(kept) == kept_name(own) else named


def open_backend_of(location: Path, content: Manifest, *, store: str = DEFAULT_STORE) -> StoreBackend:
    """The kind of store that a published index names.

    The index, which may come from somebody else, chooses no store but the default one: databases, files that only their
    own libraries read, and code of another package are its user's to name, in the profile or in IMAGESCOPE_STORE.

    Args:
        location: the folder of the index.
        content: its manifest.
        store: the store of the user's own profile.

    Raises:
        BadInput: it names a store that its user has not named.
    """
    return open_store(spec_of(location, content, store=store))


def spec_of(location: Path, content: Manifest, *, store: str = DEFAULT_STORE) -> str:
    """The store of a published index with the place that its user has named; as `open_backend_of`.

    Raises:
        BadInput: as `open_backend_of`.
    """
    # Earlier versions kept the place of an opener, never that of a kind of the table.
    made = content.store if content.store.split(":")[0] in STORES else kept_name(content.store)
    for own in (store, os.environ.get(VARIABLE, ""), DEFAULT_STORE):
        if own and kept_name(own) == made:
            return own
    raise BadInput(
        f"the index in {str(location)!r} was made with the store {shorten(content.store, 60)!r}, which is for its "
        f"user to choose; name it in your own --profile, or in {VARIABLE}"
    )


def open_vectors(location: Path, content: Manifest, *, store: str = DEFAULT_STORE) -> VectorStore:
    """Open the vectors of a published index; arguments as in `open_backend_of`.

    Raises:
        FileNotFoundError: a file is gone; a newer index may have been published meanwhile.
        BadInput: they are damaged, or as `open_backend_of`.
    """
    backend = open_backend_of(location, content, store=store)
    return backend.open(location, content.ids, content.all_spaces)


def find_space(name: str, spaces: Mapping[str, Space]) -> Space:
    """The space of that name.

    Raises:
        BadInput: there is none.
    """
    if name not in spaces:
        raise BadInput(f"the collection has no vector space {name!r}; {suggest(name, spaces)}")
    return spaces[name]


def require_fitting(queries: Sequence[SpaceQuery], spaces: Mapping[str, Space]) -> None:
    """Check that each query can be compared with the vectors of its space.

    Raises:
        BadInput: no such space, a weight out of range, or a vector of another length or with a value not finite.
    """
    for query in queries:
        size = find_space(query.space, spaces).dimension
        if not 0 <= query.weight <= 1:
            raise BadInput(
                f"the weight of the space {query.space!r} is {query.weight}; give a number from 0 to 1"
            )
        if query.vector.shape != (size,) or query.vector.dtype != np.float32:
            raise BadInput(
                f"a query vector is {query.vector.dtype} {query.vector.shape}; "
                f"the space {query.space!r} needs float32 ({size},)"
            )
        if not np.isfinite(query.vector).all():
            raise BadInput("a query vector holds a value that is not finite; check the embedding model")


def tidy(location: Path, store: str = DEFAULT_STORE) -> None:
    """Remove vectors and half-written files that belong to no published index, nothing else.

    Args:
        location: the folder of the index.
        store: the store of the user's own profile; the default one and that of the environment are tidied too.

    Raises:
        OSError: the disk is read-only.
        BadInput: the manifest is damaged.
    """
    current = manifest.read(location) if (location / manifest.MANIFEST).exists() else None
    listed = current.entries.kept["file"] if current and isinstance(current.entries, EntryTable) else ""
    for path in location.iterdir():
        left = entries.OURS.fullmatch(path.name) and path.name != listed
        if (left or manifest.PARTIAL.fullmatch(path.name)) and stat.S_ISREG(path.lstat().st_mode):
            path.unlink(missing_ok=True)
    tidy_fields(location, current.fields if current is not None else {})
    kinds = {kept_name(name): name for name in (DEFAULT_STORE, os.environ.get(VARIABLE, ""), store) if name}
    for kind, name in kinds.items():
        ours = current.all_spaces if current is not None and kept_name(current.store) == kind else ()
        with suppress(BadInput, BackendUnavailable):  # what this machine cannot open has left nothing on it
            open_store(name).tidy(location, [space.kept for space in ours])

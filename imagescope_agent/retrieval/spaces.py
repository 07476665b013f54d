"""Further vector spaces of an indexed folder, each made by an embedder of its own.

A space belongs to exactly the images and captions that it was made of. Indexing the folder again keeps it where those
are the same; otherwise it is left out, with a note, until `add_space` makes it anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.images import ImageProblem, LoadedImage, inside, load
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache, storing
from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE, SPACE_NAME, Entry, Manifest
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Embedder, Space, StoreBackend, StoredSpace
from imagescope_agent.retrieval.stores import open_backend_of, tidy
from imagescope_agent.retrieval.vectors import Vectors, checked

BATCH = 32


def add_space(
    folder: Path | str,
    name: str,
    embedder: Embedder,
    of: Literal["images", "captions"] = "images",
    *,
    store: str = DEFAULT_STORE,
    batch: int = BATCH,
) -> Space:
    """Embed an indexed collection into one more vector space; a space of that name is replaced.

    Readers see the space when all of it is written. Killed before that, the index stays as it was.

    Args:
        folder: the indexed folder or the folder of the index.
        name: of the space: a small letter, then small letters, digits, "_" and "-"; at most 32.
        embedder: makes the vectors; its `weights` are kept with the space.
        of: what is embedded. An image without a caption gets its image's vector in either case.
        store: the store of the user's own profile (see `stores.open_vectors`).
        batch: images that are embedded at once; memory grows with it and not with the folder.

    Raises:
        BadInput: nothing is indexed there, an unusable name, an image that is gone or changed since it was indexed,
            another indexer at work, or a disk that is full or read-only.
        BackendUnavailable: the embedder failed.
    """
    _require_space_name(name)
    if of not in ("images", "captions"):
        raise BadInput(f"a space is made of 'images' or 'captions', not of {of!r}")
    manifest.find(Path(folder))  # told before the weights are read
    space = Space(name=name, dimension=embedder.dimension, weights=embedder.weights)
    put_space(
        folder, space, lambda place, entries: _embedded(place, entries, embedder, of, batch), store=store
    )
    return space


def put_space(
    folder: Path | str,
    space: Space,
    rows: Callable[[Path, Sequence[Entry]], Iterator[Vectors]],
    *,
    store: str = DEFAULT_STORE,
) -> None:
    """Publish a space of an indexed collection, as `add_space`, of vectors that are made or known.

    Args:
        folder: the indexed folder or the folder of the index.
        space: its name, dimension and weights.
        rows: (folder of the images, entries) -> vectors (n, d) in order of the entries, in chunks.
        store: the store of the user's own profile.

    Raises:
        BadInput: as `add_space`.
    """
    _require_space_name(space.name)
    out = manifest.find(Path(folder))
    with IndexCache(out), storing(out), _tidying(out, store):  # the cache keeps indexers away
        content = manifest.read(out)
        backend = open_backend_of(out, content, store=store)
        others = tuple(each for each in content.spaces if each.name != space.name)
        made = rows(real_path(out / content.folder), content.entries)
        stored = StoredSpace(**vars(space), kept=backend.write(out, content.ids, space, made))
        manifest.write(out, replace(content, spaces=(*others, stored)))


def _require_space_name(name: str) -> None:
    if not SPACE_NAME.fullmatch(name) or name in (IMAGE, CAPTION):
        raise BadInput(
            f"{name!r} cannot name a new space; take small letters, and neither {IMAGE!r} nor {CAPTION!r}"
        )


@contextmanager
def _tidying(out: Path, store: str) -> Iterator[None]:
    """Remove in the end what the index does not name."""
    try:
        yield
    finally:
        with suppress(OSError, BadInput):  # tidying must not hide what went wrong
            tidy(out, store)


def still_valid(
    out: Path, content: Manifest, backend: StoreBackend
) -> tuple[tuple[StoredSpace, ...], list[dict[str, str]]]:
    """The further spaces of the published index that a new one may keep, and a note for each that it may not.

    Args:
        out: the folder of the index.
        content: what is about to be published.
        backend: its store.
    """
    try:
        before = manifest.read(out) if (out / manifest.MANIFEST).exists() else content
    except BadInput:
        return (), []
    valid, notes = list[StoredSpace](), list[dict[str, str]]()
    same = before.entries == content.entries and before.store == content.store
    for space in before.spaces:
        try:
            if not same:
                raise BadInput("the images, their captions or the store are not those it was made of")
            backend.open(out, content.ids, [space])
        except (OSError, BadInput) as error:
            detail = f"the vector space {space.name!r} is left out: {error}; add it again"
            notes.append({"step": "index", "kind": "skipped", "detail": detail})
        else:
            valid.append(space)
    return tuple(valid), notes


def _embedded(
    folder: Path, entries: Sequence[Entry], embedder: Embedder, of: str, batch: int
) -> Iterator[Vectors]:
    """The vectors of all entries in order, in chunks; equal contents are embedded once."""
    times = Counter(entry.key for entry in entries)
    repeated: dict[str, Vectors] = {}
    for start in range(0, len(entries), batch):
        chunk = entries[start : start + batch]
        new = {entry.key: entry for entry in chunk if entry.key not in repeated}
        rows = repeated | dict(zip(new, _rows(folder, list(new.values()), embedder, of), strict=True))
        repeated |= {key: rows[key] for key in new if times[key] > 1}
        yield np.stack([rows[entry.key] for entry in chunk])


def _rows(folder: Path, entries: Sequence[Entry], embedder: Embedder, of: str) -> Sequence[Vectors]:
    """A vector for each entry."""
    seen = [entry for entry in entries if of == "images" or not entry.caption]
    told = [entry for entry in entries if of == "captions" and entry.caption]
    rows: dict[str, Vectors] = {}
    if seen:
        given = embedder.images([_picture(folder, entry).image for entry in seen])
        names = [entry.id for entry in seen]
        rows |= dict(zip(names, checked(given, embedder.dimension, names, "picture"), strict=True))
    if told:
        given = embedder.texts([entry.caption or "" for entry in told])
        names = [entry.id for entry in told]
        rows |= dict(zip(names, checked(given, embedder.dimension, names, "caption"), strict=True))
    return [rows[entry.id] for entry in entries]


def _picture(folder: Path, entry: Entry) -> LoadedImage:
    path = inside(folder, entry.id)
    picture = load(path)
    if picture.key != entry.key:
        raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
    return picture

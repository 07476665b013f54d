"""Vectors in FAISS files, searched exactly.

    SPACE.<hash>.faiss   IndexFlatIP, row i = image of entry i of the manifest

A file carries its hash in the name; the manifest keeps {"file", "sha256"} for each space.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from imagescope_agent.common.atomic_write import TEMPORARY_PATTERN, write_atomic
from imagescope_agent.common.untrusted import read_file
from imagescope_agent.retrieval.manifest import SPACE_NAME, damaged
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoredSpace
from imagescope_agent.retrieval.stores.mixtures import Mixtures
from imagescope_agent.retrieval.vectors import Vectors

_FILE = re.compile(rf"{SPACE_NAME.pattern}\.[0-9a-f]{{16}}\.faiss")
_OURS = re.compile(rf"{_FILE.pattern}(?:{TEMPORARY_PATTERN})?")
MANY = (
    10_000  # rows from which on one pass over a mixture is faster than one over each space and a little more
)
FEW = 4  # a mixture is used where at most one row in so many is wanted
ROUNDING = (
    1e-4  # by how much the product with a mixture may differ from the sum of products, for weights of sum 1
)
_FLAT, _HEADER = b"IxFI", 1024  # how FAISS marks an IndexFlatIP, and room for what comes before the rows


class FaissFlatStore:
    """An IndexFlatIP for each space.

    Args:
        ids: the images, sorted; row i of every index is ids[i].
        indices: by space.
    """

    def __init__(self, ids: Sequence[str], indices: Mapping[str, faiss.IndexFlatIP]) -> None:
        self._ids, self._indices = ids, indices
        self._mixtures = Mixtures(indices)
        self._rows = {name: row for row, name in enumerate(ids)}

    def search(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> list[tuple[str, float]]:
        """As `VectorStore.search`, exactly: every allowed vector is compared; rows are in order of id."""
        if allowed is None:
            scores = self._scores(queries, k + len(exclude), [self._rows[name] for name in include])
            order = np.argsort(-scores, kind="stable")
        else:
            scores, rows = self._sums(queries, allowed), np.flatnonzero(allowed)
            order = rows[np.argsort(-scores[rows], kind="stable")]
        out = {self._rows[name] for name in exclude}
        best = [row for row in order[: k + len(out)].tolist() if row not in out][:k]
        too = {self._rows[name] for name in include} - out - set(best)
        too = too if allowed is None else {row for row in too if allowed[row]}
        best += sorted(too, key=lambda row: (-scores[row], row))
        return [(self._ids[row], float(scores[row])) for row in best]

    def _scores(
        self, queries: Sequence[SpaceQuery], most: int, too: Sequence[int]
    ) -> npt.NDArray[np.float64]:
        """The score of every row, in order of rows; exact for the `most` best and the rows `too`.

        Rows that a mixture of the spaces leaves a chance to be among the best are compared in every space.
        """
        pays = len(self._ids) >= max(MANY, FEW * most)
        mixture = self._mixtures.find(queries) if pays else None
        if mixture is None:
            return self._sums(queries)
        scores = _products(*mixture)
        slack = ROUNDING * sum(abs(query.weight) for query in queries)
        close = scores >= np.partition(scores, -most)[-most] - 2 * slack
        close[list(too)] = True
        scores[close] = self._sums(queries, close)[close]
        return scores

    def _sums(
        self, queries: Sequence[SpaceQuery], chosen: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """The weighted sums of inner products, of all rows or of the chosen ones: (n,)."""
        parts = [
            query.weight * _products(self._indices[query.space], query.vector, chosen) for query in queries
        ]
        found: npt.NDArray[np.float64] = np.sum(parts, axis=0)
        return found

    def vector(self, space: str, name: str) -> Vectors:
        """As `VectorStore.vector`."""
        return np.asarray(self._indices[space].reconstruct(self._rows[name]), dtype=np.float32)

    def update(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """As `UpdatableStore.update`."""
        index = self._indices[space]
        rows = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(index.ntotal, index.d)
        for name, vector in vectors.items():
            rows[self._rows[name]] = vector
        self._mixtures.clear()


class FaissFlatBackend:
    """Writes and opens the files of `FaissFlatStore`."""

    def write(
        self, location: Path, ids: Sequence[str], space: Space, vectors: Iterable[Vectors]
    ) -> dict[str, Any]:
        """As `StoreBackend.write`; the same vectors give the same file."""
        index = faiss.IndexFlatIP(space.dimension)
        for chunk in vectors:
            index.add(np.ascontiguousarray(chunk, dtype=np.float32))
        # written by Python, since FAISS does not report a full disk
        data = faiss.serialize_index(index).tobytes()
        sha = hashlib.sha256(data).hexdigest()
        file = f"{space.name}.{sha[:16]}.faiss"
        write_atomic(location / file, data)
        return {"file": file, "sha256": sha}

    def open(self, location: Path, ids: Sequence[str], spaces: Sequence[StoredSpace]) -> FaissFlatStore:
        """As `StoreBackend.open`: checksums, sizes and numbers are checked."""
        return FaissFlatStore(ids, {space.name: _read(location, len(ids), space) for space in spaces})

    def tidy(self, location: Path, kept: Sequence[Mapping[str, Any]]) -> None:
        """As `StoreBackend.tidy`."""
        keep = {each.get("file") for each in kept}
        for path in location.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in keep and stat.S_ISREG(path.lstat().st_mode):
                path.unlink(missing_ok=True)


def _products(
    index: faiss.IndexFlatIP, vector: Vectors, chosen: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Inner products of a vector with every row, or with the chosen ones, else 0: (n,), in order of rows.

    A range search without bound visits each row by the same code, so that equal rows get equal scores: a
    matrix product does not promise that.
    """
    library: Any = faiss  # its annotations leave out what it takes from Python
    only = {}
    if chosen is not None:
        selector = library.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
        only = {"params": library.SearchParameters(sel=selector)}
    _, products, rows = index.range_search(vector[None], -float(np.finfo(np.float32).max), **only)
    scores = np.zeros(index.ntotal, dtype=np.float64)
    scores[rows] = products
    return scores


def open_backend(place: str) -> FaissFlatBackend:
    """The backend; its files lie beside the manifest, so it takes no place."""
    return FaissFlatBackend()


def _read(location: Path, count: int, space: StoredSpace) -> faiss.IndexFlatIP:
    """One space's index of `count` rows.

    Raises:
        FileNotFoundError: it is gone; a newer index may have been published meanwhile.
        BadInput: it is damaged.
    """
    file, sha = space.kept.get("file"), space.kept.get("sha256")
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise damaged(location, f"it names no file of vectors for {space.name!r}")
    try:
        data = read_file(location / file, 4 * space.dimension * count + _HEADER)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise damaged(location, f"{file} is unreadable ({error.strerror})") from error
    if hashlib.sha256(data).hexdigest() != sha:
        raise damaged(location, f"{file} does not match its checksum")
    if not data.startswith(_FLAT):
        raise damaged(location, f"{file} holds another kind of index")
    try:
        index: Any = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    except RuntimeError as error:
        raise damaged(location, f"{file} is not what was written") from error
    if index.ntotal != count or index.d != space.dimension:
        raise damaged(location, f"{file} does not fit the manifest")
    if not np.isfinite(faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)).all():
        raise damaged(location, f"{file} holds a number that is none")
    return index  # type: ignore[no-any-return]

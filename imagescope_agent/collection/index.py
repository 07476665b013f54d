"""An indexed folder, opened for searching: (1 - tau) * cos(query, image) + tau * cos(query, caption)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from imagescope_agent.collection import manifest
from imagescope_agent.collection.build import Report, build
from imagescope_agent.collection.images import ImageProblem, Picture, Skipped, inside, load, stamp
from imagescope_agent.collection.manifest import Manifest
from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.mllms.role import ImageRef

__all__ = ["Collection", "Report", "build"]

Vectors = npt.NDArray[np.float32]

REFS = 64 * 2**20  # bytes held of images as a model is shown them: reading and coding one takes milliseconds


class Collection:
    """A folder of images and its published index; open it with `Collection.open`.

    Attributes:
        folder: the images.
        location: the folder of the index.
        ids: relative POSIX paths, sorted; row i of both indices belongs to ids[i].
        captions: id -> caption, "" where the captioner gave none.
        skipped: what the indexer left out, and why.
        embedder_weights, captioner_weights: what the index was made with.
        takes_files: whether a reference may be any image file of this machine; a graph server sets it to
            False, so that whoever reaches it sees nothing but the collection.
    """

    takes_files = True

    def __init__(
        self, location: Path, content: Manifest, images: faiss.IndexFlatIP, captions: faiss.IndexFlatIP
    ) -> None:
        self.location = location
        self.folder = (location / content.folder).resolve()
        self.ids: tuple[str, ...] = tuple(entry.id for entry in content.entries)
        self.captions = {entry.id: entry.caption for entry in content.entries}
        self.skipped: tuple[Skipped, ...] = content.skipped
        self.embedder_weights = content.embedder
        self.captioner_weights = content.captioner
        self.dimension = content.dimension
        self._keys = {entry.id: entry.key for entry in content.entries}
        self._rows = {name: row for row, name in enumerate(self.ids)}
        self._refs: LRUCache[tuple[str, str], ImageRef] = LRUCache(REFS, getsizeof=lambda ref: len(ref.data))
        self._lock = threading.Lock()
        self._images = images
        self._captions = captions

    @classmethod
    def open(cls, path: Path | str, *, weights: str | None = None) -> Collection:
        """Open an indexed folder, or an index that lies elsewhere; no model is loaded.

        Args:
            path: the indexed folder or the folder of the index.
            weights: an embedder's `weights`; None leaves the check to `require_weights`.

        Raises:
            BadInput: nothing is indexed there, or the index is damaged or was made with other weights.
        """
        location = manifest.find(Path(path))
        try:
            collection = cls._read(location)
        except FileNotFoundError:  # published anew between the manifest and the vectors: look once more
            try:
                collection = cls._read(location)
            except FileNotFoundError as error:
                raise manifest.damaged(location, f"{Path(error.filename).name} is missing") from error
        if weights is not None:
            collection.require_weights(weights)
        return collection

    def require_weights(self, weights: str) -> None:
        """Check that queries embedded with these weights may be compared with this index.

        Raises:
            BadInput: the index was made with others.
        """
        if weights != self.embedder_weights:
            raise BadInput(
                f"the index in {str(self.location)!r} was made with other embedding weights "
                f"({self.embedder_weights[:12]}, not {weights[:12]}); run `imagescope index {self.folder}` "
                "with this profile, or search with the profile it was made with"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def id_of(self, key: str) -> str:
        """The id of the image whose content has this hash (the first of equal ones), "" when there is none."""
        return self._ids_by_key.get(key, "")

    @cached_property
    def _ids_by_key(self) -> dict[str, str]:
        return {self._keys[name]: name for name in reversed(self.ids)}

    def path(self, name: str) -> Path:
        """Where the image lies, every link followed; always inside the folder.

        Raises:
            BadInput: no such id.
            ImageProblem: the file is gone, or now leads outside the folder.
        """
        self._row(name)
        return inside(self.folder, name)

    def key(self, name: str) -> str:
        """The sha256 of the file as it was indexed.

        Raises:
            BadInput: no such id.
        """
        self._row(name)
        return self._keys[name]

    def caption(self, name: str) -> str:
        """The caption of an image, "" where there is none.

        Raises:
            BadInput: no such id.
        """
        self._row(name)
        return self.captions[name]

    def picture(self, name: str) -> Picture:
        """The image as it was indexed: RGB, longest side at most 1024.

        Raises:
            BadInput: no such id.
            ImageProblem: the file is gone, unreadable, or not the one that was indexed.
        """
        path = self.path(name)
        picture = load(path)
        if picture.key != self._keys[name]:
            raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
        return picture

    def reference(self, name: str) -> Picture:
        """The picture of an id, or of an image file elsewhere where `takes_files`.

        Raises:
            BadInput: neither an id nor such a file.
            ImageProblem: as `picture`; the file is no image.
        """
        if name not in self and self.takes_files:
            return load(Path(name))
        return self.picture(name)

    def image_ref(self, name: str) -> ImageRef:
        """The image as a chat model is shown it (see `Picture.ref`); raises as `picture`.

        It is made anew only when the file may have changed.
        """
        path = self.path(name)
        try:
            key = name, stamp(path.stat())
        except OSError as error:
            raise ImageProblem(path, "it cannot be read", mend="index the folder again") from error
        with self._lock:
            found = self._refs.get(key)
        if found is None:
            found = self.picture(name).ref()
            if len(found.data) <= REFS:
                with self._lock:
                    self._refs[key] = found
        return found

    def image_vector(self, name: str) -> Vectors:
        """The image's vector, (d,) float32, unit length.

        Raises:
            BadInput: no such id.
        """
        return np.asarray(self._images.reconstruct(self._row(name)), dtype=np.float32)

    def search(
        self,
        query_vectors: npt.ArrayLike,
        tau: float,
        k: int,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
    ) -> list[tuple[str, float]]:
        """The k best images, exactly: (id, score), best first, equal scores in order of id.

        Args:
            query_vectors: (m, d) or (d,), unit length: the descriptions, each of the same weight.
            tau: the captions' share of the score, 0..1.
            k: at least 1; more than the collection holds gives all of it.
            exclude: ids to leave out.
            include: ids to return too, however low they score.

        Raises:
            BadInput: k, tau or a vector is out of range.
        """
        query = self._mean(query_vectors)
        if k < 1:
            raise BadInput(f"k is {k}; ask for at least one image")
        if not 0 <= tau <= 1:
            raise BadInput(f"tau is {tau}; give a number from 0 to 1")
        # the mean over descriptions of a cosine is the product with their mean: one pass over each index
        scores = (1 - tau) * _products(self._images, query) + tau * _products(self._captions, query)
        order = np.argsort(-scores, kind="stable")  # rows are in order of id
        out = {self._rows[name] for name in exclude if name in self._rows}
        best = [row for row in order[: k + len(out)].tolist() if row not in out][:k]
        too = {self._rows[name] for name in include if name in self._rows} - out - set(best)
        best += sorted(too, key=lambda row: (-scores[row], row))
        return [(self.ids[row], float(scores[row])) for row in best]

    @classmethod
    def _read(cls, location: Path) -> Collection:
        content = manifest.read(location)
        images = manifest.read_vectors(location, content, content.image_vectors)
        captions = manifest.read_vectors(location, content, content.caption_vectors)
        return cls(location, content, images, captions)

    def _row(self, name: str) -> int:
        row = self._rows.get(name)
        if row is None:
            raise BadInput(f"there is no image {name!r} in {str(self.folder)!r}; {suggest(name, self.ids)}")
        return row

    def _mean(self, query_vectors: npt.ArrayLike) -> Vectors:
        rows = np.atleast_2d(np.asarray(query_vectors, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] != self.dimension or not len(rows):
            raise BadInput(f"query vectors are {rows.shape}; the index needs (m, {self.dimension})")
        if not np.isfinite(rows).all():
            raise BadInput("a query vector holds a value that is not finite; check the embedding model")
        mean: Vectors = rows.mean(axis=0, keepdims=True).astype(np.float32)
        return mean


def _products(index: faiss.IndexFlatIP, query: Vectors) -> npt.NDArray[np.float64]:
    """Inner products of one query (1, d) with every row: (n,), in order of rows.

    A range search without bound visits each row by the same code, so that equal rows get equal scores: a
    matrix product does not promise that.
    """
    _, products, rows = index.range_search(query, -float(np.finfo(np.float32).max))
    scores = np.empty(index.ntotal, dtype=np.float64)
    scores[rows] = products
    return scores

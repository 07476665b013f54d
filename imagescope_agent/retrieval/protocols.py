"""The retrieval boundary: what embeds, what keeps vectors, and what the nodes of a graph see of a collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from PIL import Image

from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.captions.lazy import FoundCaption
from imagescope_agent.retrieval.images import LoadedImage
from imagescope_agent.retrieval.metadata.kinds import Kind
from imagescope_agent.retrieval.vectors import Vectors

IMAGE, CAPTION = "image", "caption"  # the vector spaces that every collection has


@runtime_checkable
class Embedder(Protocol):
    """Turns images and texts into vectors that are compared by inner product."""

    @property
    def weights(self) -> str:
        """Identifies what computes the vectors: two embedders with the same value give the same vectors."""

    @property
    def dimension(self) -> int:
        """Length d of a vector."""

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """RGB images -> (n, d) float32, unit length."""

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, d) float32, unit length."""


@runtime_checkable
class Composer(Protocol):
    """An embedder that reads an image and a text together."""

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """Each image with what to change in it, as one query: (n, d) float32, unit length."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """A named vector space of a collection: every image has one vector in it.

    Attributes:
        name: "image", "caption", or what else a collection keeps.
        dimension: length d of its vectors.
        weights: `Embedder.weights` of what computed them.
    """

    name: str
    dimension: int
    weights: str


@dataclass(frozen=True, kw_only=True)
class StoredSpace(Space):
    """A space as the manifest of an index keeps it.

    Attributes:
        kept: what `StoreBackend.write` returned for it.
    """

    kept: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SpaceQuery:
    """A query vector for one space, and the share of the score that its inner product is.

    Attributes:
        space: name of the space.
        vector: (d,) float32.
        weight: 0..1.
    """

    space: str
    vector: Vectors
    weight: float


@runtime_checkable
class VectorStore(Protocol):
    """Vectors of the same images in one or several named spaces, opened for searching."""

    def search(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        *,
        exclude: Set[str] = frozenset(),
        include: Set[str] = frozenset(),
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> list[tuple[str, float]]:
        """The k best images by the weighted sum of inner products: (id, score), best first, ties in order of id.

        The caller has checked spaces, vectors, k and ids. Equal vectors get equal scores.

        Args:
            queries: at least one; the vectors' lengths are the spaces'.
            k: at least 1; more than the store holds gives all of it.
            exclude: ids to leave out.
            include: ids to return too, however low they score; an excluded one is left out all the same.
            allowed: (n,), row i for image i of the sorted ids: whether it may be found at all, with the scores that it
                has without; None for all. It is given only where a search has a filter.
        """

    def vector(self, space: str, name: str) -> Vectors:
        """One image's vector, (d,) float32.

        Raises:
            KeyError: no such space or image.
        """


@runtime_checkable
class UpdatableStore(VectorStore, Protocol):
    """A store whose opened vectors may be replaced."""

    def update(self, space: str, vectors: Mapping[str, Vectors]) -> None:
        """Search with these vectors, (d,) by id, from now on; what was written stays as it is."""


@runtime_checkable
class StoreBackend(Protocol):
    """A kind of vector store: how a space is written, and how the spaces of an index are opened.

    What `write` returns is kept in the manifest of the index (plain JSON values: file names, checksums, addresses) and
    given back to `open`. The manifest is published last, so `write` must leave what was written before as it is: a
    process that is killed in between leaves the old index whole, and `tidy` removes the rest.
    """

    def write(
        self, location: Path, ids: Sequence[str], space: Space, vectors: Iterable[Vectors]
    ) -> dict[str, Any]:
        """Write the vectors of a space.

        Args:
            location: folder of the index.
            ids: the images, sorted.
            space: its name, dimension and weights.
            vectors: chunks (n, d) of its rows, in order of `ids`.

        Raises:
            OSError: the disk is full or read-only.
            BadInput: the store cannot be written for another reason.
        """

    def open(self, location: Path, ids: Sequence[str], spaces: Sequence[StoredSpace]) -> VectorStore:
        """Open spaces that `write` wrote for the same ids. An index may come from somebody else: check `kept`.

        Raises:
            FileNotFoundError: a file is gone; a newer index may have been published meanwhile.
            BadInput: it is damaged.
        """

    def tidy(self, location: Path, kept: Sequence[Mapping[str, Any]]) -> None:
        """Remove what this kind of store wrote for the index and none of `kept` names; nothing else.

        Raises:
            OSError: the disk is read-only.
        """


class Collection(Protocol):
    """A collection as the nodes of a graph see it: ids, captions, images, and search over its vectors.

    Methods that take an id raise BadInput where the collection has none of that name.

    Attributes:
        takes_files: whether a reference may be an image file outside the collection.
        merges_copies: whether files of one content are one image: found once, left out together.
        folder: where the images lie.
    """

    takes_files: bool
    merges_copies: bool
    folder: Path

    @property
    def ids(self) -> Sequence[str]:
        """The images, sorted."""

    @property
    def spaces(self) -> Mapping[str, Space]:
        """The vector spaces by name; `IMAGE` and `CAPTION` are always there."""

    def __len__(self) -> int: ...

    def __contains__(self, name: object) -> bool: ...

    def named(self, name: str) -> str | None:
        """The id that a name stands for, in whatever Unicode form it is written; None when there is none."""

    def copies(self, name: str) -> tuple[str, ...]:
        """Every id of an image's content, itself among them, in order; none for what is not in the collection."""

    def alike(self, names: Iterable[str]) -> set[str]:
        """Ids and, where `merges_copies`, those of the same contents."""

    def id_of(self, key: str) -> str:
        """The id of the image whose content has this hash (the first of equal ones), "" when there is none."""

    def key(self, name: str) -> str:
        """The sha256 of an image's content."""

    def require_weights(self, weights: str, space: str = IMAGE) -> None:
        """Check that queries embedded with these weights may be compared with the vectors of a space.

        Raises:
            BadInput: the vectors were made with others, or there is no such space.
        """

    def caption(self, name: str) -> str:
        """The caption of an image, "" where there is none."""

    @property
    def uncaptioned(self) -> Set[str]:
        """The images that have no caption yet, because the index was made without."""

    def add_captions(self, found: Iterable[FoundCaption]) -> None:
        """Use captions that were made since, for search too where the store takes them; what has one keeps it."""

    def describe_fields(self) -> Mapping[str, str]:
        """The fields that say something of some image, in words for a model; none without dates, places or own ones."""

    def field_values(self, name: str) -> tuple[Kind, tuple[str, ...]]:
        """The kind of one of these fields, and in order its distinct texts if it is one of text."""

    def matching(self, where: str) -> npt.NDArray[np.bool_]:
        """Whether each image matches a filter of `metadata.where`: (n,), in order of ids; else raises BadInput."""

    def reference(self, name: str) -> LoadedImage:
        """The image of an id, or of an image file elsewhere where `takes_files`.

        Raises:
            BadInput: neither an id nor such a file.
            ImageProblem: the file is gone, unreadable, or no image.
        """

    def image_ref(self, name: str) -> ImageRef:
        """The image as a chat model is shown it.

        Raises:
            BadInput: no such id.
            ImageProblem: the file is gone, unreadable, or not the one that was indexed.
        """

    def image_vector(self, name: str) -> Vectors:
        """The image's vector, (d,) float32, unit length."""

    def search(
        self,
        query_vectors: npt.ArrayLike,
        tau: float,
        k: int,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        once: bool = False,
        where: str = "",
    ) -> list[tuple[str, float]]:
        """The k best images: (id, score), best first, equal scores in order of id.

        Args:
            query_vectors: (m, d) or (d,), unit length: descriptions, each of the same weight.
            tau: the captions' share of the score, 0..1.
            k: at least 1; more than the collection holds gives all of it.
            exclude: ids to leave out.
            include: ids to return too, however low they score.
            once: of equal contents only the first id, so that k different images are found.
            where: a filter; only what matches it is found.

        Raises:
            BadInput: k, tau or a vector is out of range, or as `matching`.
        """

    def search_spaces(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        once: bool = False,
        where: str = "",
    ) -> list[tuple[str, float]]:
        """As `search`, by the weighted sum of inner products in any of the collection's spaces.

        Raises:
            BadInput: k, a weight or a vector is out of range, there is no such space, or as `matching`.
        """

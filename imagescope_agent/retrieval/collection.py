"""An indexed folder, opened for searching: (1 - tau) * cos(query, image) + tau * cos(query, caption)."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput, suggest
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.captions.lazy import FoundCaption, found_captions, recipe_of
from imagescope_agent.retrieval.file_cache import FileCache
from imagescope_agent.retrieval.images import ImageProblem, LoadedImage, Skipped, inside, load
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.indexer import build
from imagescope_agent.retrieval.index.listing import open_listing
from imagescope_agent.retrieval.index.manifest import DEFAULT_STORE, Manifest
from imagescope_agent.retrieval.metadata.fields import Fields, rows_once
from imagescope_agent.retrieval.metadata.kinds import Kind
from imagescope_agent.retrieval.metadata.table import FieldTable
from imagescope_agent.retrieval.protocols import (
    CAPTION,
    IMAGE,
    Space,
    SpaceQuery,
    UpdatableStore,
    VectorStore,
)
from imagescope_agent.retrieval.shown_images import ShownImages
from imagescope_agent.retrieval.stores import find_space, open_vectors, require_fitting
from imagescope_agent.retrieval.stores.joint import ConditionedStore
from imagescope_agent.retrieval.vectors import Vectors, mean_vector

__all__ = ["FolderCollection", "build"]

FILES = 4  # reference images outside the collection that are held: several steps of a turn use one


class FolderCollection:
    """A folder of images and its published index; open it with `FolderCollection.open`.

    Attributes:
        folder: the images.
        location: the folder of the index.
        ids: relative POSIX paths, sorted.
        captions: id -> caption, "" where the captioner gave none or (`uncaptioned`) was not asked yet.
        skipped: what the indexer left out, and why.
        spaces, fields: the vector spaces by name, and what images may be filtered by.
        embedder_weights, captioner_weights, captions_wanted: as the index was made (see `manifest.Manifest`).
        takes_files: whether a reference may be any image file of this machine; a graph server sets it to False.
        merges_copies: whether files of equal content count as one image; not in the evaluation, as published protocols.
    """

    takes_files = True
    merges_copies = True

    def __init__(
        self, location: Path, content: Manifest, vectors: VectorStore, table: FieldTable | None = None
    ) -> None:
        self.location = location
        self.folder = real_path(location / content.folder)
        self._listing = open_listing(content.entries)
        self.ids, self._rows = self._listing.ids, self._listing.rows
        self.captions, self.uncaptioned = self._listing.captions, self._listing.uncaptioned
        self.captions_wanted = content.captions
        self.fields = Fields(self.folder, self.ids, self.captions, table)
        self.skipped: tuple[Skipped, ...] = content.skipped
        self.embedder_weights, self.captioner_weights = content.embedder, content.captioner
        self.dimension = content.dimension
        self.spaces: dict[str, Space] = {space.name: space for space in content.all_spaces}
        self._shown = ShownImages()
        self._loaded = FileCache[LoadedImage](FILES)
        self._vectors = vectors

    @classmethod
    def open(
        cls, path: Path | str, *, weights: str | None = None, store: str = DEFAULT_STORE
    ) -> FolderCollection:
        """Open an indexed folder, or an index that lies elsewhere; no model is loaded.

        Args:
            path: the indexed folder or the folder of the index.
            weights: an embedder's `weights`; None leaves the check to `require_weights`.
            store: the store of the user's own profile; an index may name this one besides those of `STORES`.

        Raises:
            BadInput: nothing is indexed there, or the index is damaged or was made with other weights or a store that
                is for its user to name.
        """
        location = manifest.find(Path(path))
        try:
            collection = cls._read(location, store)
        except FileNotFoundError:  # published anew between the manifest and the vectors: look once more
            try:
                collection = cls._read(location, store)
            except FileNotFoundError as error:
                raise manifest.damaged(location, f"{Path(error.filename).name} is missing") from error
        if weights is not None:
            collection.require_weights(weights)
        return collection

    def require_weights(self, weights: str, space: str = IMAGE) -> None:
        """See `protocols.Collection`."""
        if weights != (made := find_space(space, self.spaces).weights):
            what = "" if space in (IMAGE, CAPTION) else f"the space {space!r} of "
            raise BadInput(
                f"{what}the index in {str(self.location)!r} was made with other embedding weights "
                f"({made[:12]}, not {weights[:12]}); run `imagescope index {self.folder}` "
                "with this profile, or search with the profile it was made with"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.named(name) is not None

    def named(self, name: str) -> str | None:
        """See `protocols.Collection`."""
        return self._listing.named(name)

    def copies(self, name: str) -> tuple[str, ...]:
        """See `protocols.Collection`."""
        found = self.named(name)
        return () if found is None else self._listing.of_key(self._listing.key(found))

    def alike(self, names: Iterable[str]) -> set[str]:
        """See `protocols.Collection`."""
        known = [name for name in names if name in self]
        if self.merges_copies:
            return {copy for name in known for copy in self.copies(name)}
        return {self.ids[self._row(name)] for name in known}

    def id_of(self, key: str) -> str:
        """See `protocols.Collection`."""
        return next(iter(self._listing.of_key(key)), "")

    def key(self, name: str) -> str:
        """See `protocols.Collection`."""
        return self._listing.key(self.ids[self._row(name)])

    def path(self, name: str) -> Path:
        """Where the image lies, every link followed; always inside the folder.

        Raises:
            BadInput: no such id.
            ImageProblem: the file is gone, or now leads outside the folder.
        """
        return inside(self.folder, self.ids[self._row(name)])

    def caption(self, name: str) -> str:
        """See `protocols.Collection`."""
        return self.captions[self.ids[self._row(name)]]

    def picture(self, name: str) -> LoadedImage:
        """The image as it was indexed: RGB, longest side at most 1024.

        Raises:
            BadInput: no such id.
            ImageProblem: the file is gone, unreadable, or not the one that was indexed.
        """
        picture = load(path := self.path(name))
        if picture.key != self.key(name):
            raise ImageProblem(path, "it changed since it was indexed", mend="index the folder again")
        return picture

    def reference(self, name: str) -> LoadedImage:
        """See `protocols.Collection`; read again only if the file may have changed."""
        if name in self or not self.takes_files:
            return self.picture(name)
        return self._loaded.get(Path(name), lambda: load(Path(name)))

    def image_ref(self, name: str) -> ImageRef:
        """The image as a chat model is shown it (see `LoadedImage.ref`), cached; raises as `picture`."""
        return self._shown.get(self.path(name), lambda: self.picture(name))

    def add_captions(self, found: Iterable[FoundCaption]) -> None:
        """See `protocols.Collection`."""
        pairs = ((name, each) for each in found for name in self._listing.of_key(each.key))
        new = {name: each for name, each in pairs if name in self.uncaptioned}
        if isinstance(self._vectors, UpdatableStore):
            self._vectors.update(CAPTION, {name: each.words for name, each in new.items() if each.caption})
        self.captions.update({name: each.caption for name, each in new.items()})
        self.uncaptioned -= new.keys()
        self.fields.captions_changed()

    def describe_fields(self) -> Mapping[str, str]:
        """See `protocols.Collection`."""
        return self.fields.describe()

    def field_values(self, name: str) -> tuple[Kind, tuple[str, ...]]:
        """See `protocols.Collection`."""
        column = self.fields.column(name)
        return column.kind, column.words

    def matching(self, where: str) -> npt.NDArray[np.bool_]:
        """See `protocols.Collection`."""
        return self.fields.matching(where)

    def image_vector(self, name: str) -> Vectors:
        """See `protocols.Collection`."""
        return self._vectors.vector(IMAGE, self.ids[self._row(name)])

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
        """See `protocols.Collection`."""
        query = mean_vector(query_vectors, self.dimension)
        if k < 1:
            raise BadInput(f"k is {k}; ask for at least one image")
        if not 0 <= tau <= 1:
            raise BadInput(f"tau is {tau}; give a number from 0 to 1")
        # the mean over descriptions of a cosine is the product with their mean: one pass over each space
        image = SpaceQuery(space=IMAGE, vector=query, weight=1 - tau)
        caption = SpaceQuery(space=CAPTION, vector=query, weight=tau)
        return self.search_spaces([image, caption], k, exclude, include, once, where)

    def search_spaces(
        self,
        queries: Sequence[SpaceQuery],
        k: int,
        exclude: Iterable[str] = (),
        include: Iterable[str] = (),
        once: bool = False,
        where: str = "",
    ) -> list[tuple[str, float]]:
        """See `protocols.Collection`."""
        if k < 1 or not queries:
            raise BadInput(f"k is {k} for {len(queries)} queries; ask for at least one image with one query")
        require_fitting(queries, self.spaces)
        out = {self.ids[self._row(name)] for name in exclude if name in self}
        if where:
            allowed = self._allowed(where, once)
            copies = (
                each for name in include for each in (self.copies(name) if once else (self.named(name),))
            )
            too = {each for each in copies if each is not None and allowed[self._rows[each]]} - out
            asked: dict[str, Any] = {"exclude": out, "include": too, "allowed": allowed}
            if isinstance(self._vectors, ConditionedStore):
                asked["where"] = self.fields.conditions(where, self._vectors.fields())
            return self._vectors.search(queries, k, **asked)
        also = (self.copies(name)[0] if once else name for name in include if name in self)
        too = {self.ids[self._row(name)] for name in also} - out
        return self._vectors.search(
            queries, k, exclude=out | self._listing.repeated if once else out, include=too
        )

    def _allowed(self, where: str, once: bool) -> npt.NDArray[np.bool_]:
        """The rows that match a filter; with `once`, of equal contents the first that does."""
        if "allowed" not in inspect.signature(self._vectors.search).parameters:
            raise BadInput(
                f"the store {type(self._vectors).__name__} does not filter; search without a filter"
            )
        allowed = self.fields.matching(where)
        return rows_once(self._listing.contents, allowed) if once and self._listing.repeated else allowed

    @classmethod
    def _read(cls, location: Path, store: str) -> FolderCollection:
        content = manifest.read(location)
        table = FieldTable(location, content.fields, len(content.entries)) if content.fields else None
        collection = cls(location, content, open_vectors(location, content, store=store), table)
        if collection.uncaptioned:
            recipe = recipe_of(content.embedder, content.captioner)
            collection.add_captions(found_captions(location, recipe, content.dimension))
        return collection

    def _row(self, name: str) -> int:
        found = self.named(name)
        if found is None:
            raise BadInput(f"there is no image {name!r} in {str(self.folder)!r}; {suggest(name, self.ids)}")
        return self._rows[found]

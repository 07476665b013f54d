"""Stores that are given the default spaces of a collection together, and with them all that else it keeps of an image.

Searches weigh "image" and "caption" against each other, by a tau of their own. The weighted sum of inner products is
one inner product: of [w1 q1, w2 q2, ...] with an image's vectors side by side. A store that keeps them so needs one
approximate index for every tau, since the weights are in the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.index.manifest import INDEX_KINDS
from imagescope_agent.retrieval.metadata.table import Column
from imagescope_agent.retrieval.protocols import Space, SpaceQuery, StoreBackend, VectorStore
from imagescope_agent.retrieval.vectors import Vectors

DEFAULT_INDEX = INDEX_KINDS[0]
AUTO_EXACT = 200_000  # images of which "auto" compares all vectors


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a collection keeps of its images besides vectors; row i is image i of the sorted ids.

    Attributes:
        keys: sha256 of each image's content.
        captions: "" where the captioner gave none, None where it was not asked yet.
        columns: by name, what images may be filtered by.
    """

    keys: Sequence[str]
    captions: Sequence[str | None]
    columns: Mapping[str, Column] = field(default_factory=dict)


@runtime_checkable
class JointBackend(StoreBackend, Protocol):
    """A kind of store that may keep several spaces side by side, and look among them approximately."""

    def write_joint(
        self,
        location: Path,
        ids: Sequence[str],
        spaces: Sequence[Space],
        vectors: Sequence[Iterable[Vectors]],
        *,
        index: str = DEFAULT_INDEX,
        records: Records | None = None,
        tell: Callable[[str], None] = lambda _: None,
        resume: str = "",
    ) -> list[dict[str, Any]]:
        """As `StoreBackend.write`, of several spaces; returns what the manifest keeps of each.

        Args:
            location: folder of the index.
            ids: the images, sorted.
            spaces: name, dimension and weights of each.
            vectors: of each space its chunks (n, d) in order of `ids`.
            index: one of `manifest.INDEX_KINDS`.
            records: what else is kept of each image.
            tell: is told in a line what was built, and its recall.
            resume: identifies what is written, as hexadecimal digits: a store that keeps rows of a run that was
                stopped goes on from them; "" for anew.

        Raises:
            OSError: the disk is full or read-only.
            BadInput: the store has no such index, or cannot be written for another reason.
        """


@runtime_checkable
class ReadableStore(VectorStore, Protocol):
    """A store that gives many vectors at once."""

    def read(self, space: str, start: int, end: int) -> Vectors:
        """The vectors of rows start to end, (end - start, d) float32, as they were written."""


@runtime_checkable
class ConditionedStore(VectorStore, Protocol):
    """A store that searches by conditions on fields itself: its `search` takes `where` (see `metadata.conditions`)."""

    def fields(self) -> Sequence[str]:
        """The fields that it keeps."""


def write_spaces(
    backend: StoreBackend,
    location: Path,
    ids: Sequence[str],
    spaces: Sequence[Space],
    vectors: Sequence[Iterable[Vectors]],
    *,
    index: str = DEFAULT_INDEX,
    records: Records | None = None,
    tell: Callable[[str], None] = lambda _: None,
    resume: str = "",
) -> list[dict[str, Any]]:
    """Write spaces together where the store can, else one after another; as `JointBackend.write_joint`.

    Raises:
        OSError: the disk is full or read-only.
        BadInput: as `JointBackend.write_joint`.
    """
    require_index(index)
    if isinstance(backend, JointBackend):
        return backend.write_joint(
            location, ids, spaces, vectors, index=index, records=records, tell=tell, resume=resume
        )
    if index not in (DEFAULT_INDEX, "exact"):
        raise BadInput(f"the store {type(backend).__name__} builds no index {index!r}; leave --index out")
    return [backend.write(location, ids, space, each) for space, each in zip(spaces, vectors, strict=True)]


def require_index(index: str) -> None:
    """Check the name of a kind of index.

    Raises:
        BadInput: there is none of that name.
    """
    if index not in INDEX_KINDS:
        raise BadInput(f"there is no index {index!r}; give one of {', '.join(INDEX_KINDS)}")


def chosen_index(index: str, count: int, *, large: str) -> str:
    """The kind of index that `count` images get: the one that is asked for; of "auto", `large` for many."""
    if index != "auto":
        return index
    return large if count > AUTO_EXACT else "exact"


def joint_query(queries: Sequence[SpaceQuery], spaces: Mapping[str, int]) -> Vectors | None:
    """The query for vectors side by side, (sum of dimensions,); None where it asks for other spaces too.

    Args:
        queries: vectors and weights; several of one space add up.
        spaces: dimension by name, in the order of the vectors.
    """
    parts = {name: np.zeros(size, dtype=np.float32) for name, size in spaces.items()}
    for query in queries:
        if query.space not in parts:
            return None
        parts[query.space] += np.float32(query.weight) * query.vector
    return np.concatenate([*parts.values()])

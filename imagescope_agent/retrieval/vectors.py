"""Vectors as every embedder gives them and every index keeps them: finite rows of float32, unit length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from imagescope_agent.errors import BackendUnavailable, BadInput, shorten

TOLERANCE = 0.01  # of the length; half precision rounds by a tenth of that

Vectors = npt.NDArray[np.float32]


def unit_rows(rows: Vectors) -> Vectors:
    """The rows (n, d) at unit length, float32.

    Raises:
        BackendUnavailable: a row is zero or holds something that is not a number.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not norms.all():
        raise BackendUnavailable("the embedding model gives no finite vector; its checkpoint is unusable")
    unit: Vectors = (rows / norms).astype(np.float32)
    return unit


def fits(row: npt.ArrayLike, dimension: int) -> bool:
    """Whether a row is a finite vector of unit length with so many components."""
    vector = np.asarray(row)
    if vector.shape != (dimension,):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.linalg.norm(vector.astype(np.float64)))
    return bool(abs(length - 1) <= TOLERANCE)  # never for NaN


def checked(rows: npt.ArrayLike, dimension: int, names: Sequence[str], what: str) -> Vectors:
    """An embedder's vectors, (n, d) float32, where each fits.

    Args:
        rows: what the embedder gave.
        dimension: d.
        names: of the n images, for the message.
        what: "picture" or "caption": what was embedded.

    Raises:
        BadInput: one does not; it names the image.
    """
    try:
        vectors = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError):
        vectors = np.zeros(0, dtype=np.float32)  # rows of unequal length
    if vectors.ndim != 2 or len(vectors) != len(names):
        raise BadInput(
            f"the embedding model gave an array of shape {vectors.shape} for {len(names)} {what}s "
            f"({shorten(names[0])!r} first); check the embedding model"
        )
    for name, row in zip(names, vectors, strict=True):
        if not fits(row, dimension):
            raise BadInput(
                f"the embedding model gave no vector of {dimension} numbers and length 1 for the {what} of "
                f"{shorten(name)!r} ({_trouble(row)}); check the embedding model"
            )
    return vectors


def _trouble(row: Vectors) -> str:
    if not np.isfinite(row).all():
        return "not all of it is finite"
    return f"{len(row)} numbers, length {np.linalg.norm(row.astype(np.float64)):.3g}"


def mean_vector(rows: npt.ArrayLike, dimension: int) -> Vectors:
    """The mean of query vectors, (m, d) or (d,), as one (d,) float32.

    Raises:
        BadInput: they are of another shape, or hold something that is no number.
    """
    given = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    if given.ndim != 2 or given.shape[1] != dimension or not len(given):
        raise BadInput(f"query vectors are {given.shape}; the index needs (m, {dimension})")
    if not np.isfinite(given).all():
        raise BadInput("a query vector holds a value that is not finite; check the embedding model")
    mean: Vectors = given.mean(axis=0).astype(np.float32)
    return mean

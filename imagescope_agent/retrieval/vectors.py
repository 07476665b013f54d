"""Vectors as every embedder gives them and every store keeps them: rows of float32, unit length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from imagescope_agent.errors import BackendUnavailable

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

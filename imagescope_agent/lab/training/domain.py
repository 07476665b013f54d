"""The statistic of what a profile's embedder was trained on (`retrieval.domain`), from pictures of that kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.domain import Domain, fit, plane
from imagescope_agent.retrieval.embedders.assembled import taught_names
from imagescope_agent.retrieval.images import load, scan
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.vectors import Vectors
from imagescope_agent.services import open_embedder_of

BATCH = 32


def fit_domain(
    folder: Path,
    texts: Iterable[str],
    out: Path,
    *,
    subject: str,
    profile: str,
    other: tuple[str, str],
    unlike: Path | None = None,
    blind: Sequence[str] = (),
) -> Domain:
    """Fit and write the domain of a folder's pictures and of texts.

    Args:
        folder: pictures like the training pictures.
        texts: like the training texts.
        out: folder of the domain.
        subject: what the pictures are, in words.
        profile: whose embedder is judged.
        other: subject and profile for what looks otherwise.
        unlike: pictures that look otherwise, for a plane between both kinds; None judges by distance alone.
        blind: what the embedder does not heed, sorts of `blind_spots.BLIND_SPOTS`.

    Raises:
        BadInput: there are too few pictures, or one cannot be read.
    """
    opened = load_profile(profile)
    embedder = open_embedder_of(opened)
    vectors = _vectors(embedder, folder)
    domain = fit(
        vectors, texts, subject=subject, profile=profile, weights=embedder.weights, other=other,
        names=_names(opened.embedder),
    )  # fmt: skip
    if unlike is not None:
        domain = replace(domain, contrast=plane(vectors, _vectors(embedder, unlike)))
    domain = replace(domain, blind=tuple(blind))
    domain.save(out)
    return domain


def _names(spec: str) -> list[str]:
    """The names that an embedder was taught beside texts: those of the classes of an assembled one."""
    kind, _, place = spec.partition(":")
    return taught_names(Path(place)) if kind == "assembled" else []


def _vectors(embedder: Embedder, folder: Path) -> Vectors:
    """(n, d) of a folder's pictures."""
    found, _ = scan(folder)
    chunks = [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
    rows = [
        embedder.images([load(folder / item.id).image for item in chunk])
        for chunk in tqdm(chunks, disable=None)
    ]
    return np.concatenate(rows) if rows else np.zeros((0, embedder.dimension), np.float32)

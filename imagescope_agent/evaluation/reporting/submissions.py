"""Submission files for the official test servers: checked before they are written and when they are read."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.annotations import key_line, read_text
from imagescope_agent.evaluation.datasets.base import BenchmarkQuery


def check_rankings(
    queries: Sequence[BenchmarkQuery],
    lists: Mapping[str, Sequence[str]],
    gallery: Container[str] | None,
    *,
    length: int,
    without_reference: bool,
) -> None:
    """Check lists of image ids before they go into a submission.

    Args:
        queries: all queries of the split; each needs a list.
        lists: `{qid: ids, best first}`.
        gallery: the ids that may occur; None = not checked here.
        length: how many ids the server wants for every query.
        without_reference: the server's protocol leaves the reference out.

    Raises:
        BadInput: a list is missing, too short or too long, repeats an image, holds an unknown one or the
            reference.
    """
    for query in queries:
        ranking = lists.get(query.qid)
        if ranking is None:
            raise BadInput(f"submission: query {query.qid!r} has no ranking; the server wants all of them")
        if len(ranking) != length:
            raise BadInput(
                f"submission: query {query.qid!r} has {len(ranking)} images; the server wants {length}"
            )
        if len(set(ranking)) < length:
            raise BadInput(f"submission: query {query.qid!r} repeats an image")
        if without_reference and query.reference in ranking:
            raise BadInput(f"submission: query {query.qid!r} ranks its own reference {query.reference!r}")
        if gallery is not None and not all(image in gallery for image in ranking):
            image = next(image for image in ranking if image not in gallery)
            raise BadInput(f"submission: query {query.qid!r} ranks {image!r}, which is not in the gallery")


def read_lists(document: Any, path: Path, *, kind: type, length: int) -> dict[str, list[str]]:
    """The lists of a submission that was read from JSON, ids as text.

    Args:
        document: `{qid: [ids]}`.
        path: the file, for messages.
        kind: what an id is in this format, int or str.
        length: how many ids each list must hold.

    Raises:
        BadInput: another form, length or kind of id, or an image twice in a list.
    """
    if not isinstance(document, dict):
        raise BadInput(f"{path}, line 1: expected an object of query id and image ids")
    for qid, ranking in document.items():
        if problem := _problem(ranking, kind, length):
            raise BadInput(f"{path}, line {key_line(read_text(path), qid)}: query {qid!r}: {problem}")
    return {qid: [str(image) for image in ranking] for qid, ranking in document.items()}


def _problem(ranking: Any, kind: type, length: int) -> str:
    if not isinstance(ranking, list) or not all(type(image) is kind for image in ranking):
        return f"expected a list of image ids ({kind.__name__})"
    if len(ranking) != length:
        return f"{len(ranking)} images; the server wants {length}"
    if len(set(ranking)) < length:
        duplicate = next(image for place, image in enumerate(ranking) if image in ranking[:place])
        return f"image {duplicate!r} occurs twice"
    return ""

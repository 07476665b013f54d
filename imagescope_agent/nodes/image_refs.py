"""Image references for model requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.retrieval.protocols import Collection


async def reference_ref(reference: str, collection: Collection) -> ImageRef:
    """The reference image for a model request.

    Raises:
        BadInput: it is no id, and this collection takes no other files.
        ImageProblem: the file cannot be used (any more).
    """
    return (await asyncio.to_thread(collection.reference, reference)).ref()


async def candidate_refs(
    ids: Iterable[str], collection: Collection, *, step: str
) -> tuple[dict[str, ImageRef], list[NoteDict]]:
    """Image references of the candidates by id, and a note for each that cannot be loaded."""
    refs: dict[str, ImageRef] = {}
    notes: list[NoteDict] = []
    for name in ids:
        try:
            refs[name] = await asyncio.to_thread(collection.image_ref, name)
        except ImageProblem as problem:
            notes.append(note(step, "skipped", str(problem)))
    return refs, notes

"""Pictures for model requests: the candidates, and the references that questions need."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from imagescope_agent.mllms.role import ImageRef, Role
from imagescope_agent.nodes.intent.references import bare
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.state import State, references_of


@dataclass
class ReferencesSeen:
    """The references that must be seen beside a candidate, by question, and their descriptions."""

    pictures: dict[str, ImageRef] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    asks: dict[str, str] = field(default_factory=dict)  # what models are asked for it, where it has a mark


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
    wanted = list(ids)
    refs: dict[str, ImageRef] = {}
    notes: list[NoteDict] = []

    def load() -> None:
        for name in wanted:
            try:
                refs[name] = collection.image_ref(name)
            except ImageProblem as problem:
                notes.append(note(step, "skipped", str(problem)))

    await asyncio.to_thread(load)  # once for all: most are found in less time than a thread is reached
    return refs, notes


async def references_seen(
    state: State, verifier: Role, collection: Collection, *, step: str
) -> tuple[ReferencesSeen, list[NoteDict]]:
    """What the verifier is shown of the references that predicates name; a note where it can be told words only."""
    numbers = {each["question"]: each["reference"] for each in state["predicates"] if "reference" in each}
    references, captions = references_of(state), state.get("reference_captions", [])
    wanted = sorted({number for number in numbers.values() if number <= len(references)})
    refs: dict[int, ImageRef] = {}
    if wanted and verifier.images_per_request == 1:
        notes = [described_only(step, "the model takes one picture in a request")]
    else:
        refs, notes = await numbered_refs(references, wanted, collection, step=step)
    seen = ReferencesSeen(
        pictures={question: refs[number] for question, number in numbers.items() if number in refs},
        words={
            question: captions[number - 1]
            for question, number in numbers.items()
            if number in wanted and number <= len(captions)
        },
        asks={each["question"]: bare(each) for each in state["predicates"] if "reference" in each},
    )
    return seen, notes


def described_only(step: str, why: str) -> NoteDict:
    """The note on references that the verifier is not shown."""
    return note(step, "fallback", f"{why}; references are described to it in words")


def only_first(step: str, state: State) -> list[NoteDict]:
    """A note where a model of one reference is shown the first of several."""
    if (count := len(references_of(state))) < 2:
        return []
    return [note(step, "skipped", f"only the first of {count} references is seen in this step")]


async def numbered_refs(
    references: Sequence[str], numbers: Sequence[int], collection: Collection, *, step: str
) -> tuple[dict[int, ImageRef], list[NoteDict]]:
    """Some of the references by number, and a note for each that cannot be loaded."""
    refs: dict[int, ImageRef] = {}
    notes: list[NoteDict] = []
    for number in numbers:
        try:
            refs[number] = await reference_ref(references[number - 1], collection)
        except ImageProblem as problem:
            notes.append(note(step, "skipped", str(problem)))
    return refs, notes

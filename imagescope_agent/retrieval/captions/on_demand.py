"""Captions for the images that a search reaches, in a collection that was indexed without (`--captions lazy`)."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.role import ImageRef, Request, Role
from imagescope_agent.prompting import load_prompt
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.captions.captioning import caption_images, no_caption, one_line
from imagescope_agent.retrieval.captions.lazy import FoundCaption, add_captions, found_captions, recipe_of
from imagescope_agent.retrieval.images import ImageProblem
from imagescope_agent.retrieval.protocols import Collection, Embedder
from imagescope_agent.retrieval.vectors import checked

STEP = "caption"


@dataclass(frozen=True)
class MadeCaptions:
    """What came of it: how many images have a caption now, notes, and what the model calls cost."""

    count: int = 0
    notes: list[NoteDict] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)


class CaptionOnDemand:
    """Makes the captions that images lack, uses them at once and keeps them beside the index.

    Args:
        captioner: the one that the index names.
        embedder: made the vectors of the index.
        collection: to which captions are added.
        location: the folder of the index.
        weights: of the captioner.
    """

    step = STEP

    def __init__(
        self, captioner: Role, embedder: Embedder, collection: Collection, location: Path, weights: str
    ) -> None:
        self.captioner, self.embedder, self.collection = captioner, embedder, collection
        self.location, self.weights = location, weights
        self.prompt = load_prompt("caption", prompt_set=captioner.prompt_set).fill()

    async def __call__(self, names: Sequence[str]) -> MadeCaptions:
        """Caption those of these images that have no caption yet; a captioner that fails leaves a note."""
        before = sum(name in self.collection.uncaptioned for name in names)
        if not before:
            return MadeCaptions()
        lacking = await asyncio.to_thread(self._from_others, names)
        try:
            made = await self._made(lacking) if lacking else MadeCaptions()
        except BackendUnavailable as error:
            told = f"{len(lacking)} images got no caption: {error}; they are found by their pictures alone"
            made = MadeCaptions(notes=[note(STEP, "fallback", told)])
        left = sum(name in self.collection.uncaptioned for name in names)
        return replace(made, count=before - left)

    def _from_others(self, names: Sequence[str]) -> list[str]:
        """Use what other processes have captioned since, and return one image of each content that is left."""
        keys = {
            self.collection.key(name): name for name in reversed(names) if name in self.collection.uncaptioned
        }
        if keys:
            self.collection.add_captions(
                found_captions(self.location, self._recipe(), self.embedder.dimension, keys=list(keys))
            )
        return [name for name in names if name in self.collection.uncaptioned and name in keys.values()]

    def _recipe(self) -> str:
        return recipe_of(self.embedder.weights, self.weights, self.prompt)

    async def _made(self, names: Sequence[str]) -> MadeCaptions:
        refs, notes = dict[str, ImageRef](), list[NoteDict]()
        for name in names:
            try:
                refs[name] = await asyncio.to_thread(self.collection.image_ref, name)
            except ImageProblem as problem:
                notes.append(note(STEP, "skipped", str(problem)))
        requests = [Request(text=self.prompt, images=(ref,)) for ref in refs.values()]
        replies = await caption_images(self.captioner, requests)
        captions = [one_line(reply.text) for reply in replies]
        notes += [{**each, "step": STEP} for reply in replies for each in reply.notes]
        notes += [
            no_caption(name, reply.problem)
            for name, reply, caption in zip(refs, replies, captions, strict=True)
            if not caption
        ]
        later = (isinstance(reply.problem, BackendUnavailable) for reply in replies)  # may be answered yet
        made = {name: caption for name, caption, wait in zip(refs, captions, later, strict=True) if not wait}
        notes += await asyncio.to_thread(self._keep, list(made), list(made.values()))
        return MadeCaptions(0, notes, [reply.usage for reply in replies])

    def _keep(self, names: Sequence[str], captions: Sequence[str]) -> list[NoteDict]:
        """Add captions to the collection, and to the file beside its index where that can be written."""
        if not names:
            return []
        words = checked(self.embedder.texts(captions), self.embedder.dimension, names, "caption")
        found = [
            FoundCaption(key=self.collection.key(name), caption=caption, words=row)
            for name, caption, row in zip(names, captions, words, strict=True)
        ]
        self.collection.add_captions(found)
        try:
            add_captions(self.location, self._recipe(), found)
        except (BadInput, sqlite3.Error, OSError) as error:
            return [note(STEP, "skipped", f"captions are not kept, and made again next time: {error}")]
        return []


def missing_captions(names: Sequence[str], collection: Collection) -> list[NoteDict]:
    """A note on those of the images that are found by their pictures alone because their captions are not made yet."""
    count = sum(name in collection.uncaptioned for name in names)
    if not count:
        return []
    told = (
        f"{count} of the {len(names)} best images have no caption yet and are found by their pictures alone; "
        f"`imagescope index --captions all {collection.folder}` makes all captions"
    )
    return [note("retrieve", "uncaptioned", told)]

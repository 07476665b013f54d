"""Captions and vectors of a batch of contents, and who computes them: this process, or an engine of many.

The indexer says which contents form a batch, in the order of the folder alone. So every engine computes the same
batches, and so the same index.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from imagescope_agent.errors import ImageScopeError, RequestRefused
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.records import note
from imagescope_agent.retrieval.captions import captioning
from imagescope_agent.retrieval.images import ImageFile, ImageProblem, LoadedImage, inside, load_new
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.rows import Content, File
from imagescope_agent.retrieval.protocols import Embedder
from imagescope_agent.retrieval.vectors import Vectors, checked
from imagescope_agent.usage import total_usage


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A file that was looked at.

    Args:
        item: which.
        key: sha256 of its content; "" where it is no usable image.
        problem: why it is none.
        picture: as models are shown it, where the engine keeps it for the batch.
    """

    item: ImageFile
    key: str = ""
    problem: str = ""
    picture: LoadedImage | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A content that lacks its vectors or its caption: one of its files, and what is kept of it."""

    id: str
    key: str
    caption: str | None = None
    image: Vectors | None = None


@dataclass(kw_only=True)
class Batch:
    """Contents that are computed together, and the files that are recorded with them.

    `pictures` has one for each of `wanted` where the engine keeps pictures, else it is empty.
    """

    wanted: list[Wanted] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    pictures: list[LoadedImage] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Made:
    """What came of a batch.

    Args:
        contents: with their captions and vectors.
        notes: on pictures that were cut off and replies that were degraded.
        usage: what the captioner cost.
        uncaptioned: contents that got no caption though one was asked for, and why; None where the reply was empty.
        refused: why, where the captioner refuses all of several images.
        gone: files that changed or vanished since they were looked at, and what is wrong.
        node: where it was computed; "" here.
    """

    contents: Sequence[Content] = ()
    notes: Sequence[dict[str, str]] = ()
    usage: Mapping[str, Any] = field(default_factory=lambda: total_usage([]))
    uncaptioned: Mapping[str, ImageScopeError | None] = field(default_factory=dict)
    refused: str = ""
    gone: Mapping[str, str] = field(default_factory=dict)
    node: str = ""


class Maker:
    """Computes batches with the models of a profile.

    Args:
        embedder: makes the vectors.
        captioner: describes an image in a sentence.
        prompt: of the captioner.
        captions: which images get one: one of `manifest.CAPTIONS`.
    """

    def __init__(self, embedder: Embedder, captioner: Role, prompt: str, captions: str) -> None:
        self.embedder, self.captioner, self.prompt, self.captions = embedder, captioner, prompt, captions

    async def __call__(self, wanted: Sequence[Wanted], pictures: Sequence[LoadedImage]) -> Made:
        """The captions and vectors of contents; `pictures` has one for each.

        Raises:
            BackendUnavailable: a model failed.
        """
        captions, replied = await self._captions(wanted, pictures)
        images, words = self._embedded(wanted, pictures, captions)
        contents = [
            Content(key=each.key, caption=caption, image=image, words=text if caption else image)
            for each, caption, image, text in zip(wanted, captions, images, words, strict=True)
        ]
        cut = [
            note("load", "cut off", f"{each.id!r} was cut off; {picture.share:.0%} of it is there")
            for each, picture in zip(wanted, pictures, strict=True)
            if picture.share < 1
        ]
        replied["notes"] = [*cut, *replied.get("notes", ())]
        return Made(contents=contents, **replied)

    def _embedded(
        self, wanted: Sequence[Wanted], pictures: Sequence[LoadedImage], captions: Sequence[str | None]
    ) -> tuple[Sequence[Vectors], Sequence[Vectors]]:
        """The vectors of pictures, those that have one already keep it, and of captions, where there is any."""
        size = self.embedder.dimension
        new = [place for place, each in enumerate(wanted) if each.image is None]
        kept = [each.image for each in wanted]
        if new:
            given = self.embedder.images([pictures[place].image for place in new])
            rows = checked(given, size, [wanted[place].id for place in new], "picture")
            for place, row in zip(new, rows, strict=True):
                kept[place] = row
        images = [row for row in kept if row is not None]
        if not any(captions):
            return images, images
        given = self.embedder.texts([caption or "" for caption in captions])
        return images, list(checked(given, size, [each.id for each in wanted], "caption"))

    async def _captions(
        self, wanted: Sequence[Wanted], pictures: Sequence[LoadedImage]
    ) -> tuple[Sequence[str | None], dict[str, Any]]:
        """A caption for each content, and what of `Made` the captioner's replies say."""
        if isinstance(self.captioner.model, Absent):
            return ["" for _ in wanted], {}
        captions = {each.key: each.caption for each in wanted}
        if self.captions != manifest.CAPTIONS[0]:
            return [*captions.values()], {}
        asked = [
            (each, picture) for each, picture in zip(wanted, pictures, strict=True) if each.caption is None
        ]
        told: dict[str, Any] = {}
        problems: dict[str, ImageScopeError | None] = {}
        if asked:
            requests = [Request(text=self.prompt, images=(picture.ref(),)) for _, picture in asked]
            replies = await captioning.caption_images(self.captioner, requests)
            for (each, _), reply in zip(asked, replies, strict=True):
                captions[each.key] = captioning.one_line(reply.text)
                problems[each.key] = reply.problem
            told["refused"] = captioning.all_refused(replies)
            told["notes"] = [{**each, "step": "caption"} for reply in replies for each in reply.notes]
            told["usage"] = total_usage(reply.usage for reply in replies)
        told["uncaptioned"] = {key: problems.get(key) for key, text in captions.items() if text == ""}
        return [caption or "" for caption in captions.values()], told


class Engine(Protocol):
    """Looks at files and computes batches."""

    def look(self, folder: Path, files: Sequence[ImageFile], known: Callable[[str], bool]) -> Iterator[Seen]:
        """Look at each file, in order.

        Args:
            folder: of the images.
            files: which.
            known: whether content of this sha256 needs no decoding; asked when the file's turn comes, if at all.
        """

    def make(self, folder: Path, batches: Iterable[Batch], maker: Maker) -> AsyncIterator[tuple[Batch, Made]]:
        """Compute batches, in any order.

        Raises:
            BackendUnavailable: a model or the engine failed; the batches before are done.
        """


async def make_all(
    engine: Engine, folder: Path, batches: Iterable[Batch], maker: Maker, *, accepted: bool
) -> AsyncIterator[tuple[Batch, Made]]:
    """As `Engine.make`; refused batches are held back until it is known that the captioner takes the first pictures.

    Args:
        engine: computes them.
        folder: of the images.
        batches: which.
        maker: computes them with the models of this process.
        accepted: that is known already.

    Raises:
        RequestRefused: the captioner refuses all images of the first batch, whichever comes back first.
    """
    first: Batch | None = None
    held: list[tuple[Batch, Made]] = []

    def seen() -> Iterator[Batch]:
        nonlocal first
        for batch in batches:
            first = batch if first is None and batch.wanted else first
            yield batch

    async for batch, made in engine.make(folder, seen(), maker):
        if batch is first and not accepted:
            if made.refused:
                raise RequestRefused(made.refused)
            accepted = True
        if made.refused and not accepted:
            held.append((batch, made))
        else:
            yield batch, made
        while accepted and held:
            yield held.pop(0)
        await asyncio.sleep(0)  # a stop is seen between two batches, also where nothing else waits


class LocalEngine:
    """Computes one batch after another in this process."""

    def look(self, folder: Path, files: Sequence[ImageFile], known: Callable[[str], bool]) -> Iterator[Seen]:
        """As `Engine.look`; files are read as the batches need them."""
        for item in files:
            try:
                found = load_new(inside(folder, item.id), known)
            except ImageProblem as problem:
                yield Seen(item=item, problem=problem.reason)
                continue
            picture = None if isinstance(found, str) else found
            yield Seen(item=item, key=found if isinstance(found, str) else found.key, picture=picture)

    async def make(
        self, folder: Path, batches: Iterable[Batch], maker: Maker
    ) -> AsyncIterator[tuple[Batch, Made]]:
        """As `Engine.make`."""
        for batch in batches:
            if batch.wanted:
                yield batch, await maker(batch.wanted, batch.pictures)
            else:
                yield batch, Made()

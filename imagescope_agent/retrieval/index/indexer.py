"""Index a folder of images: caption and embed new content batch by batch, then publish the index."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.records import note
from imagescope_agent.retrieval.captions import captioning
from imagescope_agent.retrieval.captions.lazy import found_captions, recipe_of
from imagescope_agent.retrieval.domain import said_of
from imagescope_agent.retrieval.image_files import find_images, no_images
from imagescope_agent.retrieval.images import (
    ImageFile,
    ImageProblem,
    LoadedImage,
    Skipped,
    inside,
    load_new,
)
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache
from imagescope_agent.retrieval.index.publishing import publish
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.index.rows import Content, File
from imagescope_agent.retrieval.protocols import Embedder, StoreBackend
from imagescope_agent.retrieval.stores import open_store
from imagescope_agent.retrieval.vectors import Vectors, checked
from imagescope_agent.usage import total_usage

BATCH = 32


async def build(  # over forty lines for its arguments
    folder: Path,
    out: Path | None,
    embedder: Embedder,
    captioner: Role,
    prompt: str,
    *,
    captioner_weights: str,
    profile: str = "",
    store: str = manifest.DEFAULT_STORE,
    only: Container[str] | None = None,
    exclude: Sequence[str] | None = None,
    captions: str | None = None,
    index: str | None = None,
    batch: int = BATCH,
    progress: bool | None = None,
    scanned: tuple[list[ImageFile], list[Skipped]] | None = None,
) -> IndexReport:
    """Index a folder, or update its index; after a kill the next run resumes.

    Files of equal content are captioned and embedded once. The order of work depends on the folder alone and a batch
    is stored in one transaction: a resumed run computes the same batches and publishes the same bytes.

    Args:
        folder: the images, at any depth.
        out: where the index goes; None is FOLDER/.imagescope.
        embedder: makes the vectors.
        captioner: describes an image in a sentence.
        prompt: of the captioner.
        captioner_weights: identifies the captioner's weights; other weights or another prompt mean new captions.
        profile: name of the profile, stored in the index.
        store: where the vectors go, as `stores.open_store` takes it.
        only: ids to index, for a gallery that is a part of the folder; None is all of it.
        exclude: patterns of what to leave out (see `Excluded`), which the index keeps; None is those it has.
        captions: which images get one (see `captioning.captions_wanted`).
        index: how nearest vectors are looked for (see `captioning.index_wanted`).
        batch: images that are captioned and embedded at once; memory grows with it and not with the folder.
        progress: a bar on standard error; None shows it on a terminal only.
        scanned: what `find_images` found with the same arguments; None finds it.

    Raises:
        BadInput: no folder, no image in it, another indexer uses it, or a disk that is full or read-only.
        RequestRefused: the captioner refuses all of the first images.
        BackendUnavailable: a model failed; what was finished is kept.
    """
    started = time.monotonic()
    patterns = tuple(filter(str.strip, manifest.patterns_of(folder, out) if exclude is None else exclude))
    found, skipped = scanned or find_images(folder, out, only, patterns)
    out, backend = out if out is not None else folder / manifest.FOLDER_INDEX, open_store(store)
    if out.absolute().is_relative_to(folder.absolute()):  # else the user chose the place
        manifest.require_no_way_out(out, folder)
    manifest.folder_as_stored(folder, out)  # a name that cannot be kept is told before any model is asked
    hidden = None if progress is None else not progress
    with IndexCache(out) as cache, tqdm(total=len(found), unit="image", disable=hidden) as bar:
        index_run = _IndexRun(
            *(folder, out, cache, embedder, captioner, captioner_weights, profile, store, backend),
            *(prompt, batch, bar, skipped, patterns, captioning.captions_wanted(out, captions)),
            captioning.index_wanted(out, index),
        )
        await index_run.process(found)
        index_run.publish()
        return index_run.report(time.monotonic() - started)


@dataclass
class _IndexRun:
    """One run over the folder."""

    folder: Path
    out: Path
    cache: IndexCache
    embedder: Embedder
    captioner: Role
    captioner_weights: str
    profile: str
    store: str
    backend: StoreBackend
    prompt: str
    batch: int
    bar: tqdm[Any]
    skipped: list[Skipped]
    patterns: tuple[str, ...]
    captions: str
    index: str
    good: set[str] = field(default_factory=set)
    new: int = 0
    unchanged: int = 0
    removed: int = 0
    captioned: int = 0
    waiting: set[str] = field(default_factory=set)  # contents whose caption is still to be made
    notes: list[dict[str, str]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=lambda: total_usage([]))
    _pictures: dict[str, LoadedImage] = field(default_factory=dict)
    _files: list[File] = field(default_factory=list)

    async def process(self, found: Sequence[ImageFile]) -> None:
        recipe = hashlib.sha256(f"{self.captioner_weights}\n{self.prompt}".encode()).hexdigest()
        self.cache.adopt(embedder=self.embedder.weights, captioner=recipe)
        if damaged := self.cache.forget_damaged(self.embedder.dimension):
            detail = f"{damaged} contents of the journal were damaged; they are computed anew"
            self.notes.append(note("index", "damaged", detail))
        by_searches = recipe_of(self.embedder.weights, self.captioner_weights, self.prompt)
        self.cache.add_captions(found_captions(self.out, by_searches, self.embedder.dimension))
        before = self.cache.files()
        self.waiting = self.cache.uncaptioned() if self.captions == manifest.CAPTIONS[0] else set()
        for item in found:
            try:
                self._take(item, before.get(item.id))
            except ImageProblem as problem:
                self.skipped.append(Skipped(id=item.id, reason=problem.reason))
            self.bar.update()
            if len(self._pictures) == self.batch:
                await self._finish()
        await self._finish()
        self.skipped.sort(key=lambda item: item.id)

    def publish(self) -> None:
        """Write the index from the cache.

        Raises:
            BadInput: no image could be read.
        """
        if not self.good:
            raise no_images(self.folder, self.skipped)
        self.removed = self.cache.keep_only(self.good)
        self.notes += publish(
            *(self.folder, self.out, self.cache, self.embedder, self.backend),
            captioner=self.captioner_weights,
            skipped=tuple(self.skipped),
            exclude=self.patterns,
            profile=self.profile,
            store=self.store,
            captions=self.captions,
            index=self.index,
            tell=self.built.append,
        )

    def report(self, seconds: float) -> IndexReport:
        return IndexReport(
            folder=str(self.folder),
            index=str(self.out),
            images=len(self.good),
            new=self.new,
            copies=len(self.good) - self.new - self.unchanged,
            unchanged=self.unchanged,
            removed=self.removed,
            skipped=tuple(self.skipped),
            notes=tuple(self.notes),
            built=tuple(self.built),
            usage={"step": "caption", "role": self.captioner.name, **self.usage},
            seconds=seconds,
            captioned=self.captioned,
            uncaptioned=0 if self.captions == manifest.CAPTIONS[0] else len(self.cache.uncaptioned()),
        )

    def _take(self, item: ImageFile, before: File | None) -> None:
        """Add a file to the batch; content that is cached or in the batch already needs no model."""
        if before is not None and before.stamp == item.stamp and before.key not in self.waiting:
            self.unchanged += 1
            self.good.add(item.id)
            return
        picture = load_new(inside(self.folder, item.id), self._has)
        key = picture if isinstance(picture, str) else picture.key
        if isinstance(picture, LoadedImage):
            self._pictures[key] = picture
            if picture.share < 1:
                detail = f"{item.id!r} was cut off; {picture.share:.0%} of it is there"
                self.notes.append(note("load", "cut off", detail))
            late = key in self.waiting
            self.new += not late
            self.captioned += late
            self.unchanged += late
        elif before is not None and before.key == key:
            self.unchanged += 1
        self._files.append(File(id=item.id, stamp=item.stamp, key=key))
        self.good.add(item.id)

    def _has(self, key: str) -> bool:
        """Whether this content needs no model: it is done, or in the batch already."""
        return key in self._pictures or (key not in self.waiting and self.cache.done(key))

    async def _finish(self) -> None:
        """Caption and embed the batch and store it."""
        if not self._files:
            return
        pictures = list(self._pictures.values())
        captions = await self._captions(pictures)
        images, words = self._embedded(pictures, captions)
        contents = [
            Content(key=picture.key, caption=caption, image=image, words=text if caption else image)
            for picture, caption, image, text in zip(pictures, captions, images, words, strict=True)
        ]
        self.cache.record(contents, self._files)
        self.waiting -= self._pictures.keys()
        self._pictures, self._files = {}, []

    def _tell_early(self, vectors: Vectors) -> None:
        """Say that the first pictures look foreign before hours are spent on the others."""
        if self.new <= self.batch and not self.bar.disable and (said := said_of(self.embedder, vectors)):
            self.bar.write(said, file=self.bar.fp)

    def _embedded(
        self, pictures: Sequence[LoadedImage], captions: Sequence[str | None]
    ) -> tuple[Sequence[Vectors], Sequence[Vectors]]:
        """The vectors of pictures, those that have one already keep it, and of captions, where there is any."""
        kept = {picture.key: self.cache.image(picture.key) for picture in pictures}
        new = [picture for picture in pictures if kept[picture.key] is None]
        size = self.embedder.dimension
        if new:
            given = self.embedder.images([picture.image for picture in new])
            rows = checked(given, size, self._names(new), "picture")
            self._tell_early(rows)
            kept |= {picture.key: row for picture, row in zip(new, rows, strict=True)}
        images = [row for picture in pictures if (row := kept[picture.key]) is not None]
        if not any(captions):
            return images, images
        given = self.embedder.texts([caption or "" for caption in captions])
        return images, list(checked(given, size, self._names(pictures), "caption"))

    def _names(self, pictures: Sequence[LoadedImage]) -> list[str]:
        """An id for each picture."""
        ids = {file.key: file.id for file in reversed(self._files)}
        return [ids.get(picture.key, picture.key) for picture in pictures]

    async def _captions(self, pictures: Sequence[LoadedImage]) -> Sequence[str | None]:
        captions = {picture.key: self.cache.caption(picture.key) for picture in pictures}
        if isinstance(self.captioner.model, Absent):
            return ["" for _ in pictures]
        if self.captions != manifest.CAPTIONS[0]:
            return [captions[picture.key] for picture in pictures]
        asked = [picture for picture in pictures if captions[picture.key] is None]
        problems: dict[str, ImageScopeError | None] = {}
        if asked:
            requests = [Request(text=self.prompt, images=(picture.ref(),)) for picture in asked]
            replies = await captioning.caption_images(self.captioner, requests)
            captioning.require_some(replies, before=self.cache.any_caption())
            for picture, reply in zip(asked, replies, strict=True):
                captions[picture.key] = captioning.one_line(reply.text)
                problems[picture.key] = reply.problem
                self.notes += [{**note, "step": "caption"} for note in reply.notes]
            self.usage = total_usage([self.usage, *(reply.usage for reply in replies)])
        self.notes += [
            captioning.no_caption(file.id, problems.get(file.key))
            for file in self._files
            if captions.get(file.key) == ""
        ]
        return [captions[picture.key] or "" for picture in pictures]

"""Index a folder of images: caption and embed new content batch by batch, then publish the index."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.mllms.absent import Absent
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.records import note, total_usage
from imagescope_agent.retrieval import manifest
from imagescope_agent.retrieval.captioning import caption_images, no_caption, require_some
from imagescope_agent.retrieval.domain import Domain
from imagescope_agent.retrieval.images import (
    ImageFile,
    ImageProblem,
    LoadedImage,
    Skipped,
    digest,
    inside,
    load,
    scan,
)
from imagescope_agent.retrieval.index_cache import Content, File, IndexCache, storing
from imagescope_agent.retrieval.index_report import IndexReport
from imagescope_agent.retrieval.protocols import CAPTION, IMAGE, Embedder, Space, StoreBackend
from imagescope_agent.retrieval.spaces import still_valid
from imagescope_agent.retrieval.stores import open_store, tidy
from imagescope_agent.retrieval.vectors import checked

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
        batch: images that are captioned and embedded at once; memory grows with it and not with the folder.
        progress: a bar on standard error; None shows it on a terminal only.
        scanned: what `find_images` found with the same arguments; None finds it.

    Raises:
        BadInput: no folder, no image in it, another indexer uses it, or a disk that is full or read-only.
        RequestRefused: the captioner refuses all of the first images.
        BackendUnavailable: a model failed; what was finished is kept.
    """
    started = time.monotonic()
    patterns = (
        manifest.patterns_of(folder, out) if exclude is None else tuple(p for p in exclude if p.strip())
    )
    found, skipped = scanned or find_images(folder, out, only, patterns)
    out, backend = out if out is not None else folder / manifest.FOLDER_INDEX, open_store(store)
    if out.absolute().is_relative_to(folder.absolute()):  # else the user chose the place
        manifest.require_no_way_out(out, folder)
    manifest.folder_as_stored(folder, out)  # a name that cannot be kept is told before any model is asked
    bar_options: dict[str, Any] = {"unit": "image", "disable": None if progress is None else not progress}
    with IndexCache(out) as cache, tqdm(total=len(found), **bar_options) as bar:
        index_run = _IndexRun(
            *(folder, out, cache, embedder, captioner, captioner_weights, profile, store, backend),
            *(prompt, batch, bar, skipped, patterns),
        )
        await index_run.process(found)
        index_run.publish()
    return index_run.report(time.monotonic() - started)


def find_images(
    folder: Path, out: Path | None, only: Container[str] | None = None, exclude: Sequence[str] = ()
) -> tuple[list[ImageFile], list[Skipped]]:
    """The files that would be indexed and what is left out, by id; arguments as in `build`.

    Raises:
        BadInput: no folder, or nothing in it that could be an image.
    """
    place = out if out is not None else folder / manifest.FOLDER_INDEX
    found, skipped = scan(folder, ignore=place, exclude=exclude)
    if only is not None:
        found = [item for item in found if item.id in only]
        skipped = [item for item in skipped if item.id in only]
    if not found:
        raise _no_images(folder, skipped)
    return found, skipped


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
    good: set[str] = field(default_factory=set)
    new: int = 0
    unchanged: int = 0
    removed: int = 0
    notes: list[dict[str, str]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=lambda: total_usage([]))
    _pictures: dict[str, LoadedImage] = field(default_factory=dict)
    _files: list[File] = field(default_factory=list)

    async def process(self, found: Sequence[ImageFile]) -> None:
        recipe = hashlib.sha256(f"{self.captioner_weights}\n{self.prompt}".encode()).hexdigest()
        self.cache.adopt(embedder=self.embedder.weights, captioner=recipe)
        if damaged := self.cache.forget_damaged(self.embedder.dimension):
            detail = f"{damaged} contents of the journal were damaged; they are computed anew"
            self.notes.append(note("index", "damaged", detail))
        before = self.cache.files()
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
            raise _no_images(self.folder, self.skipped)
        self.removed = self.cache.keep_only(self.good)
        with storing(self.out):
            try:
                entries = tuple(self.cache.entries())
                content = manifest.Manifest(
                    folder=manifest.folder_as_stored(self.folder, self.out),
                    embedder=self.embedder.weights,
                    captioner=self.captioner_weights,
                    dimension=self.embedder.dimension,
                    image_vectors=self._vectors(entries, IMAGE, "image"),
                    caption_vectors=self._vectors(entries, CAPTION, "words"),
                    entries=entries,
                    skipped=tuple(self.skipped),
                    exclude=self.patterns,
                    profile=self.profile,
                    store=self.store,
                )
                spaces, notes = still_valid(self.out, content, self.backend)
                self.notes += notes
                manifest.write(self.out, replace(content, spaces=spaces))
                self.notes += self._foreign(content)
            finally:
                with suppress(OSError, BadInput):  # must not hide the first error
                    tidy(self.out, self.store)

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
            usage={"step": "caption", "role": self.captioner.name, **self.usage},
            seconds=seconds,
        )

    def _foreign(self, content: manifest.Manifest) -> list[dict[str, str]]:
        """A note where the pictures are unlike what the embedder was trained on."""
        domain: Domain | None = getattr(self.embedder, "domain", None)
        if domain is None or domain.weights != content.embedder:
            return []
        said = domain.of_folder(np.concatenate(list(self.cache.vectors("image"))))
        return [note("index", "outside", said)] if said else []

    def _vectors(self, entries: Sequence[manifest.Entry], name: str, column: str) -> dict[str, Any]:
        space = Space(name=name, dimension=self.embedder.dimension, weights=self.embedder.weights)
        ids = [entry.id for entry in entries]
        return self.backend.write(self.out, ids, space, self.cache.vectors(column))

    def _take(self, item: ImageFile, before: File | None) -> None:
        """Add a file to the batch; content that is cached or in the batch already needs no model."""
        if before is not None and before.stamp == item.stamp:
            self.unchanged += 1
            self.good.add(item.id)
            return
        path = inside(self.folder, item.id)
        key = digest(path)
        if key not in self._pictures and not self.cache.done(key):
            picture = load(path)
            key = picture.key
            self._pictures[key] = picture
            if picture.share < 1:
                detail = f"{item.id!r} was cut off; {picture.share:.0%} of it is there"
                self.notes.append(note("load", "cut off", detail))
            self.new += 1
        elif before is not None and before.key == key:
            self.unchanged += 1
        self._files.append(File(id=item.id, stamp=item.stamp, key=key))
        self.good.add(item.id)

    async def _finish(self) -> None:
        """Caption and embed the batch and store it."""
        if not self._files:
            return
        pictures = list(self._pictures.values())
        captions = await self._captions(pictures)
        contents = []
        if pictures:
            names, size = self._names(pictures), self.embedder.dimension
            given = self.embedder.images([picture.image for picture in pictures])
            images = checked(given, size, names, "picture")
            words = checked(self.embedder.texts(captions), size, names, "caption")
        for row, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
            # without a caption both vectors are the image's, so that its score is the plain cosine
            text = words[row] if caption else images[row]
            contents.append(Content(key=picture.key, caption=caption, image=images[row], words=text))
        self.cache.record(contents, self._files)
        self._pictures, self._files = {}, []

    def _names(self, pictures: Sequence[LoadedImage]) -> list[str]:
        """An id for each picture."""
        ids = {file.key: file.id for file in reversed(self._files)}
        return [ids.get(picture.key, picture.key) for picture in pictures]

    async def _captions(self, pictures: Sequence[LoadedImage]) -> list[str]:
        captions = {picture.key: self.cache.caption(picture.key) for picture in pictures}
        if isinstance(self.captioner.model, Absent):
            return ["" for _ in pictures]
        asked = [picture for picture in pictures if captions[picture.key] is None]
        problems: dict[str, ImageScopeError | None] = {}
        if asked:
            requests = [Request(text=self.prompt, images=(picture.ref(),)) for picture in asked]
            replies = await caption_images(self.captioner, requests)
            require_some(replies, before=self.cache.any_caption())
            for picture, reply in zip(asked, replies, strict=True):
                captions[picture.key] = " ".join(reply.text.split())
                problems[picture.key] = reply.problem
                self.notes += [{**note, "step": "caption"} for note in reply.notes]
            self.usage = total_usage([self.usage, *(reply.usage for reply in replies)])
        self.notes += [
            no_caption(file.id, problems.get(file.key))
            for file in self._files
            if captions.get(file.key) == ""
        ]
        return [captions[picture.key] or "" for picture in pictures]


def _no_images(folder: Path, skipped: Sequence[Skipped]) -> BadInput:
    seen = f" ({len(skipped)} files skipped, {skipped[0].id!r}: {skipped[0].reason})" if skipped else ""
    return BadInput(f"there is no image in {str(folder)!r}{seen}; give a folder of png, jpg, webp, ... files")

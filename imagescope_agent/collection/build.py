"""Make a folder of images searchable: look at what is new, caption and embed it batch by batch, publish."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imagescope_agent.collection import manifest
from imagescope_agent.collection.describe import described, no_caption, require_some
from imagescope_agent.collection.embed import Embedder
from imagescope_agent.collection.images import (
    Found,
    ImageProblem,
    Picture,
    Skipped,
    digest,
    inside,
    load,
    scan,
)
from imagescope_agent.collection.journal import Content, File, Journal, storing
from imagescope_agent.collection.vectors import checked
from imagescope_agent.errors import BadInput, ImageScopeError
from imagescope_agent.mllms.role import Request, Role
from imagescope_agent.mllms.usage import total_usage

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one run of the indexer did.

    `new` images were captioned and embedded, `copies` have the content of another image and cost no model,
    `unchanged` were done before, `removed` are gone from the folder or no longer readable.
    """

    folder: str
    index: str
    images: int
    new: int
    copies: int
    unchanged: int
    removed: int
    skipped: tuple[Skipped, ...]
    notes: tuple[dict[str, str], ...]
    usage: dict[str, Any]
    seconds: float

    def __str__(self) -> str:
        """A summary, then one line for each file that was skipped."""
        lines = [
            f"{self.images} images indexed in {self.index}: {self.new} new, {self.copies} copies, "
            f"{self.unchanged} unchanged, {self.removed} removed, {len(self.skipped)} skipped"
        ]
        lines += [f"skipped {item.id!r}: {item.reason}" for item in self.skipped]
        lines += [f"{note['kind']}: {note['detail']}" for note in self.notes]
        return "\n".join(lines)


async def build(
    folder: Path,
    out: Path | None,
    embedder: Embedder,
    captioner: Role,
    prompt: str,
    *,
    captioner_weights: str,
    profile: str = "",
    only: Container[str] | None = None,
    exclude: Sequence[str] | None = None,
    batch: int = BATCH,
    progress: bool | None = None,
) -> Report:
    """Index a folder, or bring its index up to date; killed at any moment, the next run goes on.

    An image is captioned and embedded once for each content. The order of work depends on the folder alone
    and a batch is written down whole: a resumed run computes the same batches and publishes the same bytes.

    Args:
        folder: the images, at any depth.
        out: where the index goes; None is FOLDER/.imagescope.
        embedder: makes the vectors.
        captioner: describes a picture in a sentence.
        prompt: what the captioner is asked.
        captioner_weights: names the captioner's weights; other weights or another prompt mean new captions.
        profile: the name of what computes, for whoever opens the index.
        only: ids to index, for a gallery that is a part of the folder; None is all of it.
        exclude: patterns of what to leave out (see `Excluded`), which the index keeps; None is those it has.
        batch: images that are captioned and embedded at once; memory grows with it and not with the folder.
        progress: a bar on standard error; None shows it on a terminal only.

    Raises:
        BadInput: no folder, no image in it, another indexer at work, or a disk that is full or read-only.
        RequestRefused: the captioner takes none of the first pictures.
        BackendUnavailable: a model failed; what was finished is kept.
    """
    started = time.monotonic()
    patterns = patterns_of(folder, out) if exclude is None else tuple(p for p in exclude if p.strip())
    found, skipped = find_images(folder, out, only, patterns)
    out = out if out is not None else folder / manifest.FOLDER_INDEX
    if out.absolute().is_relative_to(folder.absolute()):  # else the user chose the place
        manifest.require_no_way_out(out, folder)
    hidden = None if progress is None else not progress
    with Journal(out) as journal, tqdm(total=len(found), unit="image", disable=hidden) as bar:
        work = _Work(
            *(folder, out, journal, embedder, captioner, captioner_weights, profile),
            *(prompt, batch, bar, skipped, patterns),
        )
        await work.through(found)
        work.publish()
    return work.report(time.monotonic() - started)


def patterns_of(folder: Path, out: Path | None) -> tuple[str, ...]:
    """The patterns that an index was made with; none where there is no readable index."""
    place = out if out is not None else folder / manifest.FOLDER_INDEX
    try:
        return manifest.read(place).exclude if (place / manifest.MANIFEST).is_file() else ()
    except (OSError, BadInput):
        return ()


def find_images(
    folder: Path, out: Path | None, only: Container[str] | None = None, exclude: Sequence[str] = ()
) -> tuple[list[Found], list[Skipped]]:
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
class _Work:
    """One pass over the folder."""

    folder: Path
    out: Path
    journal: Journal
    embedder: Embedder
    captioner: Role
    captioner_weights: str
    profile: str
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
    _pictures: dict[str, Picture] = field(default_factory=dict)
    _files: list[File] = field(default_factory=list)

    async def through(self, found: Sequence[Found]) -> None:
        recipe = hashlib.sha256(f"{self.captioner_weights}\n{self.prompt}".encode()).hexdigest()
        self.journal.adopt(embedder=self.embedder.weights, captioner=recipe)
        if damaged := self.journal.forget_damaged(self.embedder.dimension):
            detail = f"{damaged} contents of the journal were damaged; they are computed anew"
            self.notes.append({"step": "index", "kind": "damaged", "detail": detail})
        before = self.journal.files()
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
        """Write the index of what the journal holds.

        Raises:
            BadInput: no image could be read.
        """
        if not self.good:
            raise _no_images(self.folder, self.skipped)
        self.removed = self.journal.keep_only(self.good)
        with storing(self.out):
            try:
                content = manifest.Manifest(
                    folder=manifest.folder_as_stored(self.folder, self.out),
                    embedder=self.embedder.weights,
                    captioner=self.captioner_weights,
                    dimension=self.embedder.dimension,
                    image_vectors=self._vectors("image", "image"),
                    caption_vectors=self._vectors("caption", "words"),
                    entries=tuple(self.journal.entries()),
                    skipped=tuple(self.skipped),
                    exclude=self.patterns,
                    profile=self.profile,
                )
                manifest.write(self.out, content)
            finally:
                with suppress(OSError, BadInput):  # tidying must not hide what went wrong
                    manifest.tidy(self.out)

    def report(self, seconds: float) -> Report:
        return Report(
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

    def _vectors(self, name: str, column: str) -> dict[str, str]:
        return manifest.write_vectors(self.out, name, self.journal.vectors(column), self.embedder.dimension)

    def _take(self, item: Found, before: File | None) -> None:
        """Decide what a file needs; a content already known or already in this batch needs no model."""
        if before is not None and before.stamp == item.stamp:
            self.unchanged += 1
            self.good.add(item.id)
            return
        path = inside(self.folder, item.id)
        key = digest(path)
        if key not in self._pictures and not self.journal.done(key):
            picture = load(path)
            key = picture.key
            self._pictures[key] = picture
            if picture.share < 1:
                detail = f"{item.id!r} was cut off; {picture.share:.0%} of it is there"
                self.notes.append({"step": "load", "kind": "cut off", "detail": detail})
            self.new += 1
        elif before is not None and before.key == key:
            self.unchanged += 1
        self._files.append(File(id=item.id, stamp=item.stamp, key=key))
        self.good.add(item.id)

    async def _finish(self) -> None:
        """Caption and embed the waiting pictures and write them down."""
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
            # without a caption the picture speaks for both, so that its score is the plain cosine
            text = words[row] if caption else images[row]
            contents.append(Content(key=picture.key, caption=caption, image=images[row], words=text))
        self.journal.record(contents, self._files)
        self._pictures, self._files = {}, []

    def _names(self, pictures: Sequence[Picture]) -> list[str]:
        """An id for each picture."""
        ids = {file.key: file.id for file in reversed(self._files)}
        return [ids.get(picture.key, picture.key) for picture in pictures]

    async def _captions(self, pictures: Sequence[Picture]) -> list[str]:
        captions = {picture.key: self.journal.caption(picture.key) for picture in pictures}
        asked = [picture for picture in pictures if captions[picture.key] is None]
        problems: dict[str, ImageScopeError | None] = {}
        if asked:
            requests = [Request(text=self.prompt, images=(picture.ref(),)) for picture in asked]
            replies = await described(self.captioner, requests)
            require_some(replies, before=self.journal.any_caption())
            for picture, reply in zip(asked, replies, strict=True):
                captions[picture.key] = _one_line(reply.text)
                problems[picture.key] = reply.problem
                self.notes += [{**note, "step": "caption"} for note in reply.notes]
            self.usage = total_usage([self.usage, *(reply.usage for reply in replies)])
        self.notes += [
            no_caption(file.id, problems.get(file.key))
            for file in self._files
            if captions.get(file.key) == ""
        ]
        return [captions[picture.key] or "" for picture in pictures]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _no_images(folder: Path, skipped: Sequence[Skipped]) -> BadInput:
    seen = f" ({len(skipped)} files skipped, {skipped[0].id!r}: {skipped[0].reason})" if skipped else ""
    return BadInput(f"there is no image in {str(folder)!r}{seen}; give a folder of png, jpg, webp, ... files")

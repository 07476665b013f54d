"""Index a folder of images: caption and embed new content batch by batch, then publish the index."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from imagescope_agent.mllms.role import Role
from imagescope_agent.records import note
from imagescope_agent.retrieval.captions import captioning
from imagescope_agent.retrieval.captions.lazy import found_captions, recipe_of
from imagescope_agent.retrieval.domain import said_of
from imagescope_agent.retrieval.image_files import find_images, no_images
from imagescope_agent.retrieval.images import ImageFile, Skipped
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.cache import IndexCache
from imagescope_agent.retrieval.index.making import (
    Batch,
    Engine,
    LocalEngine,
    Made,
    Maker,
    Seen,
    Wanted,
    make_all,
)  # fmt: skip
from imagescope_agent.retrieval.index.publishing import publish
from imagescope_agent.retrieval.index.report import IndexReport
from imagescope_agent.retrieval.index.rows import File
from imagescope_agent.retrieval.protocols import Embedder, StoreBackend
from imagescope_agent.retrieval.stores import open_store
from imagescope_agent.usage import total_usage

BATCH = 32
TOLD = 100  # files after which the bar says how many were read
COPY = "the file that it is a copy of changed or vanished while it was indexed; index the folder again"


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
    engine: Engine | None = None,
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
        engine: computes the batches; None is this process.

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
    maker = Maker(embedder, captioner, prompt, captioning.captions_wanted(out, captions))
    with IndexCache(out) as cache, tqdm(total=len(found), unit="image", disable=hidden) as bar:
        index_run = _IndexRun(
            *(folder, out, cache, maker, captioner_weights, profile, store, backend),
            *(batch, bar, skipped, patterns, captioning.index_wanted(out, index), engine or LocalEngine()),
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
    maker: Maker
    captioner_weights: str
    profile: str
    store: str
    backend: StoreBackend
    batch: int
    bar: tqdm[Any]
    skipped: list[Skipped]
    patterns: tuple[str, ...]
    index: str
    engine: Engine
    good: set[str] = field(default_factory=set)
    new: int = 0
    unchanged: int = 0
    removed: int = 0
    captioned: int = 0
    waiting: set[str] = field(default_factory=set)  # contents whose caption is still to be made
    notes: list[dict[str, str]] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    nodes: Counter[str] = field(default_factory=Counter)  # contents by where they were computed
    usage: dict[str, Any] = field(default_factory=lambda: total_usage([]))
    _taken: set[str] = field(default_factory=set)  # contents of the batches of this run
    _lost: set[str] = field(default_factory=set)  # contents that changed or vanished on the way
    _before: dict[str, File] = field(default_factory=dict)  # what earlier runs recorded
    _recorded: int = 0

    async def process(self, found: Sequence[ImageFile]) -> None:
        captioner, embedder = self.captioner_weights, self.maker.embedder
        recipe = hashlib.sha256(f"{captioner}\n{self.maker.prompt}".encode()).hexdigest()
        self.cache.adopt(embedder=embedder.weights, captioner=recipe)
        if damaged := self.cache.forget_damaged(embedder.dimension):
            detail = f"{damaged} contents of the journal were damaged; they are computed anew"
            self.notes.append(note("index", "damaged", detail))
        by_searches = recipe_of(embedder.weights, captioner, self.maker.prompt)
        self.cache.add_captions(found_captions(self.out, by_searches, embedder.dimension))
        self.waiting = self.cache.uncaptioned() if self._captions_all else set()
        self._before = self.cache.files()
        batches, accepted = self._batches(found), self.cache.any_caption()
        async for batch, made in make_all(self.engine, self.folder, batches, self.maker, accepted=accepted):
            self._record(batch, made)
        if self._lost:
            self._leave_out_copies()
        self.skipped.sort(key=lambda item: item.id)

    @property
    def _captions_all(self) -> bool:
        return self.maker.captions == manifest.CAPTIONS[0]

    def publish(self) -> None:
        """Write the index from the cache.

        Raises:
            BadInput: no image could be read.
        """
        if not self.good:
            raise no_images(self.folder, self.skipped)
        self.removed += self.cache.keep_only(self.good)
        self.notes += publish(
            *(self.folder, self.out, self.cache, self.maker.embedder, self.backend),
            captioner=self.captioner_weights,
            skipped=tuple(self.skipped),
            exclude=self.patterns,
            profile=self.profile,
            store=self.store,
            captions=self.maker.captions,
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
            usage={"step": "caption", "role": self.maker.captioner.name, **self.usage},
            seconds=seconds,
            captioned=self.captioned,
            uncaptioned=0 if self._captions_all else len(self.cache.uncaptioned()),
            nodes=dict(self.nodes),
        )

    def _batches(self, found: Sequence[ImageFile]) -> Iterator[Batch]:
        """The batches of what is new, in the order of the folder."""
        before, changed = self._before, list[ImageFile]()
        for item in found:
            kept = before.get(item.id)
            if kept is not None and kept.stamp == item.stamp and kept.key not in self.waiting:
                self.unchanged += 1
                self.good.add(item.id)
                self.bar.update()
            else:
                changed.append(item)
        batch = Batch()
        for count, seen in enumerate(self.engine.look(self.folder, changed, self._has), 1):
            if count % TOLD == 0:  # an engine may look at all files before it computes a batch
                self.bar.set_postfix_str(f"{count} files read")
            self._take(batch, seen, before.get(seen.item.id))
            if len(batch.wanted) == self.batch:
                yield batch
                batch = Batch()
        if batch.files:
            yield batch

    def _take(self, batch: Batch, seen: Seen, before: File | None) -> None:
        """Add a file to the batch; content that is cached or in a batch already needs no model."""
        name, key = seen.item.id, seen.key
        if seen.problem:
            self.skipped.append(Skipped(id=name, reason=seen.problem))
            self.bar.update()
            return
        if not self._has(key):
            late = key in self.waiting
            self.new += not late
            self.captioned += late
            self.unchanged += late
            self._taken.add(key)
            kept = {"caption": self.cache.caption(key), "image": self.cache.image(key)}
            batch.wanted.append(Wanted(id=name, key=key, **kept))  # type: ignore[arg-type]
            batch.pictures += [seen.picture] if seen.picture is not None else []
        elif before is not None and before.key == key:
            self.unchanged += 1
        batch.files.append(File(id=name, stamp=seen.item.stamp, key=key))
        self.good.add(name)

    def _has(self, key: str) -> bool:
        """Whether this content needs no model: it is done, or in a batch already."""
        return key in self._taken or (key not in self.waiting and self.cache.done(key))

    def _record(self, batch: Batch, made: Made) -> None:
        """Store a finished batch."""
        self._tell_early(made)
        files = [file for file in batch.files if file.id not in made.gone]
        self.cache.record(made.contents, files)
        self.usage = total_usage([self.usage, made.usage])
        self.notes += made.notes
        self.notes += [
            captioning.no_caption(file.id, made.uncaptioned[file.key])
            for file in files
            if file.key in made.uncaptioned
        ]
        self._leave_out(made.gone)
        self._lost.update(each.key for each in batch.wanted if each.id in made.gone)
        if made.node:
            self.nodes[made.node] += len(made.contents)
        self.bar.update(len(batch.files))

    def _leave_out(self, files: Mapping[str, str]) -> None:
        """Leave out files, each for a reason, also where an earlier run recorded them."""
        self.skipped += [Skipped(id=name, reason=reason) for name, reason in files.items()]
        self.good -= files.keys()

    def _leave_out_copies(self) -> None:
        """Leave out the other files of contents that were lost, and count none of these."""
        kept, late = self.cache.files(), self._lost & self.waiting
        copies = [name for name in self.good if name not in kept or kept[name].key in late]
        self._leave_out(dict.fromkeys(sorted(copies), COPY))
        self.new -= len(self._lost - late)
        self.captioned -= len(late)
        same = [name for name in copies if name in self._before and self._before[name].key in late]
        self.unchanged -= len(late) + len(same)
        self.removed -= sum(name not in self._before for name in copies)  # recorded by this run only

    def _tell_early(self, made: Made) -> None:
        """Say that the first pictures look foreign before hours are spent on the others."""
        self._recorded += bool(made.contents)  # an engine may record copies first
        if self._recorded == 1 and self.new and made.contents and not self.bar.disable:
            rows = np.stack([content.image for content in made.contents])
            if said := said_of(self.maker.embedder, rows):
                self.bar.write(said, file=self.bar.fp)

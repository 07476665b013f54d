"""Single files into an index and out of it, without bringing in what else lies in the folder."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import read_file, real_path
from imagescope_agent.errors import BadInput, shorten, suggest
from imagescope_agent.indexing import index_folder
from imagescope_agent.retrieval.images import digest, load
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.index.manifest import Manifest
from imagescope_agent.retrieval.index.report import IndexReport

MOST_BYTES = 2**30  # of a file that is copied in


@dataclass(frozen=True, kw_only=True)
class _Index:
    """An index and the folder of its images."""

    location: Path
    folder: Path
    content: Manifest

    @classmethod
    def find(cls, collection: Path) -> _Index:
        location = manifest.find(collection)
        content = manifest.read(location)
        return cls(location=location, folder=real_path(location / content.folder), content=content)

    def id_of(self, given: Path) -> str:
        """The id of a file: as it is given, or by where it lies in the folder.

        Raises:
            BadInput: it lies elsewhere.
        """
        name = given.as_posix()
        relative = not given.is_absolute() and ".." not in given.parts
        if name in self.content.ids or (relative and not given.exists()):
            return name
        try:
            return (real_path(given.parent) / given.name).relative_to(self.folder).as_posix()
        except ValueError:
            raise BadInput(
                f"{str(given)!r} lies outside {str(self.folder)!r}; name a file in it, or copy one with `add --copy`"
            ) from None

    def update(self, only: set[str], exclude: Sequence[str], profile: str | None) -> IndexReport:
        inside = self.location == self.folder / manifest.FOLDER_INDEX
        return index_folder(
            self.folder,
            profile=profile,
            out=None if inside else self.location,
            only=only,
            exclude=exclude,
        )


def add_files(
    collection: Path, files: Sequence[Path], *, copy: bool = False, profile: str | None = None
) -> tuple[IndexReport, list[str]]:
    """Index files that lie in the folder of a collection; other new files there stay out.

    What the index holds already is brought up to date with the disk, as by `index_folder`.

    Args:
        collection: the indexed folder, or the index where it lies elsewhere.
        files: at least one, ids or paths.
        copy: copy those that lie elsewhere to the top of the folder; never over another file.
        profile: as in `index_folder`.

    Returns:
        The report of the indexer, and the ids of the files.

    Raises:
        BadInput: one is missing, lies elsewhere, is no image or is left out by the patterns of the index; the index
            is as before.
    """
    index = _Index.find(collection)
    names = [_copied(index, file) if copy else index.id_of(file) for file in files]
    for name in names:
        load(index.folder / name)  # told before the index is written
    own = {_pattern(name) for name in names}  # of earlier removals
    patterns = [pattern for pattern in index.content.exclude if pattern not in own]
    report = index.update({*index.content.ids, *names}, patterns, profile)
    added = set(manifest.read(index.location).ids)
    if missing := [name for name in names if name not in added]:
        raise BadInput(
            f"{missing[0]!r} is not indexed: hidden files and what the patterns of the index leave out stay out; "
            "rename it, or change the patterns with `imagescope index --exclude`"
        )
    return report, names


def remove_files(
    collection: Path, files: Sequence[Path], *, delete: bool = False, profile: str | None = None
) -> tuple[IndexReport, list[str]]:
    """Take files out of an index, and keep them out: the index leaves them out from then on, until they are added.

    Args:
        collection: the indexed folder, or the index where it lies elsewhere.
        files: at least one, ids or paths.
        delete: delete the pictures too, once the index is without them.
        profile: as in `index_folder`.

    Returns:
        The report of the indexer, and the ids of the files.

    Raises:
        BadInput: one is not in the index, or nothing would be left in it; the index is as before.
    """
    index = _Index.find(collection)
    ids = index.content.ids
    names = [index.id_of(file) for file in files]
    if unknown := next((name for name in names if name not in ids), None):
        raise BadInput(f"{shorten(unknown)!r} is not in the index; {suggest(unknown, ids)}")
    if not (left := set(ids) - set(names)):
        raise BadInput(f"these are all images of the index; delete {str(index.location)!r} to be without one")
    patterns = [*index.content.exclude, *(_pattern(name) for name in names)]
    report = index.update(left, list(dict.fromkeys(patterns)), profile)
    for name in names if delete else ():
        (index.folder / name).unlink(missing_ok=True)
    return report, names


def _pattern(name: str) -> str:
    """The pattern that leaves out exactly this file."""
    return "/" + glob.escape(name)


def _copied(index: _Index, file: Path) -> str:
    """The id of a file, which is copied into the folder where it lies elsewhere."""
    try:
        return index.id_of(file)
    except BadInput:
        pass
    key, target = load(file).key, index.folder / file.name
    if target.exists():
        if digest(target) != key:
            raise BadInput(f"there is another {file.name!r} in {str(index.folder)!r}; rename the new one")
        return file.name
    try:
        write_atomic(target, read_file(file, MOST_BYTES, follow=True))
    except OSError as error:
        raise BadInput(
            f"cannot copy {str(file)!r} to {str(index.folder)!r}: {error.strerror}; copy it by hand"
        ) from error
    return file.name

"""Scan a folder for files that may be images, without leaving the folder."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput

#: Names, in lower case, of what systems and programs create among images: thumbnails, trash, resource forks.
LEFT_OUT = frozenset(
    ("@eadir", "@sharebin", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "lost+found", "__macosx",
     "$recycle.bin", "recycler", "system volume information", "network trash folder", "temporary items",
     "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r")
)  # fmt: skip
#: Files with the user's own fields of the images beside them (see `metadata.own_fields`).
FIELD_FILES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
LONGEST_PATTERN = 512
MOST_PATTERNS = 1000  # an index, which may be a stranger's, names some, too


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A regular file in the folder: relative POSIX path and a stamp that changes when the file may have."""

    id: str
    stamp: str


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file in the folder that is not indexed, and why."""

    id: str
    reason: str


class Excluded:
    """Which paths a list of patterns leaves out, as in a .gitignore file.

    "*.gif" and "thumbs" leave out files and folders of that name at any depth, "raw/" only folders; with a slash
    inside or in front a pattern is about the path from the folder of images: "2019/*.png", "/drafts", "a/**/b".

    Raises:
        BadInput: a pattern that is too long, or begins with "!"; too many of them.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > MOST_PATTERNS:
            raise BadInput(
                f"{len(patterns)} patterns are too many to leave out; give at most {MOST_PATTERNS}"
            )
        self._rules = [_rule(pattern) for pattern in patterns if pattern.strip()]

    def __call__(self, relative: Path, *, folder: bool) -> bool:
        """Whether this file or folder is left out."""
        names = [unicodedata.normalize("NFC", name) for name in relative.parts]
        return any((folder or not only) and _match(parts, names) for parts, only in self._rules)


_Parts = tuple[re.Pattern[str] | None, ...]  # None stands for any number of folders


def scan(
    folder: Path, *, ignore: Path | None = None, exclude: Sequence[str] = ()
) -> tuple[list[ImageFile], list[Skipped]]:
    """All files below a folder that may be images, and the skipped ones with reasons; both by id.

    Hidden files and folders (a leading dot), those of LEFT_OUT, FIELD_FILES, what a pattern of `exclude` matches (see
    `Excluded`) and the folder `ignore` are passed over silently. A link to a file is followed when it stays inside the
    folder; a link to a folder never is, since what it shows is found in its own place, so there are no loops.

    Raises:
        BadInput: `folder` is missing or no folder, or an unusable pattern.
    """
    excluded = Excluded(exclude)
    try:
        if not folder.is_dir():
            raise BadInput(f"there is no folder {str(folder)!r}; give a folder of images")
        root = real_path(folder)
    except OSError as error:
        raise BadInput(f"cannot open {str(folder)!r}: {error.strerror}; give a folder of images") from error
    found: list[ImageFile] = []
    skipped: list[Skipped] = []
    for item in _walk(root, real_path(ignore) if ignore else None, excluded):
        if isinstance(item, ImageFile):
            found.append(item)
        else:
            skipped.append(item)
    return sorted(found, key=lambda f: f.id), sorted(skipped, key=lambda s: s.id)


def _walk(root: Path, ignore: Path | None, excluded: Excluded) -> Iterator[ImageFile | Skipped]:
    pending = [root]
    while pending:
        here = pending.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            yield Skipped(id=_printable(here.relative_to(root)), reason=f"unreadable ({error.strerror})")
            continue
        for entry in entries:
            path = Path(entry.path)
            folder = not entry.is_symlink() and entry.is_dir(follow_symlinks=False)
            if entry.name.startswith(".") or entry.name.lower() in LEFT_OUT or path == ignore:
                continue
            if entry.name in FIELD_FILES and not folder:
                continue
            if excluded(path.relative_to(root), folder=folder):
                continue
            if folder:
                pending.append(path)
            else:
                yield _look(root, path)


def _look(root: Path, path: Path) -> ImageFile | Skipped:
    name = _printable(path.relative_to(root))
    try:
        path.name.encode("utf-8")
        str(path.relative_to(root)).encode("utf-8")
        target = (
            path.resolve(strict=True) if path.is_symlink() else path
        )  # root and folders are followed already
        status = target.stat()
    except UnicodeEncodeError:
        return Skipped(id=name, reason="its name is not valid UTF-8")
    except RuntimeError:  # pathlib's word for a loop of links before Python 3.13
        return Skipped(id=name, reason="a link that leads nowhere")
    except OSError as error:
        reason = "a link that leads nowhere" if path.is_symlink() else f"unreadable ({error.strerror})"
        return Skipped(id=name, reason=reason)
    if not target.is_relative_to(root):
        return Skipped(id=name, reason="a link to outside the folder")
    if target.is_dir():
        return Skipped(id=name, reason="a link to a folder")
    if not target.is_file():
        return Skipped(id=name, reason="not a regular file")
    return ImageFile(id=name, stamp=stamp(status))


def stamp(status: os.stat_result) -> str:
    """Changes when the file may have: the change time catches one rewritten with its old size and date."""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _printable(relative: Path) -> str:
    return relative.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


def _rule(pattern: str) -> tuple[_Parts, bool]:
    """A pattern as matchers of path components, and whether it matches folders only."""
    if pattern.startswith("!") or len(pattern) > LONGEST_PATTERN:
        raise BadInput(
            f"cannot leave out {pattern[:40]!r}: give a pattern such as '*.gif', 'thumbs/' or '2019/**/raw'"
        )
    names = [
        name for name in unicodedata.normalize("NFC", pattern).strip("/").split("/") if name not in ("", ".")
    ]
    anywhere = "/" not in pattern.rstrip("/")
    parts: list[re.Pattern[str] | None] = [None] if anywhere else []
    for name in names:
        if name != "**":
            parts.append(re.compile(fnmatch.translate(name)))
        elif not parts or parts[-1] is not None:
            parts.append(None)
    return tuple(parts), pattern.endswith("/")


def _match(parts: _Parts, names: Sequence[str]) -> bool:
    """Whether a pattern describes a whole path: all ways at once, so in time of at most parts x names."""
    reached = _passing(parts, {0})  # how many parts may have been used up so far
    for name in names:
        used: set[int] = set()
        for place in reached - {len(parts)}:
            part = parts[place]
            if part is None:
                used.add(place)
            elif part.match(name):
                used.add(place + 1)
        reached = _passing(parts, used)
    return len(parts) in reached


def _passing(parts: _Parts, places: set[int]) -> set[int]:
    """These places and those behind a "**", which may stand for no folder; there are never two in a row."""
    return places | {place + 1 for place in places if place < len(parts) and parts[place] is None}

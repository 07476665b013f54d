"""Pictures from elsewhere into a folder: object stores, web addresses, archives, lists of addresses, through fsspec.

The copy keeps the names of the source; a file of its own remembers the versions, so that a second run fetches what is
new or changed and deletes what is gone there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from imagescope_agent.common.atomic_write import write_atomic
from imagescope_agent.common.untrusted import parse_json, read_file
from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.ingest.copying import Limits, Unreadable, copy_file, is_picture, safe_name
from imagescope_agent.ingest.opening import Item, Source, list_items, open_source
from imagescope_agent.retrieval.images import Skipped

STATE = ".imagescope-source.json"  # hidden, so no image of the folder
STATE_BYTES = 2**28
LANES = 8  # files that are fetched at a time
FAILURES = 10  # in a row, after which the source counts as unreachable


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What a run fetched: counts of pictures, and what was left out with the reasons."""

    source: str
    folder: Path
    fetched: int
    unchanged: int
    removed: int
    skipped: tuple[Skipped, ...]

    def __str__(self) -> str:
        """A summary, then a line for each file that was left out."""
        head = (
            f"{self.fetched} pictures fetched from {self.source} to {self.folder}: {self.unchanged} unchanged, "
            f"{self.removed} removed, {len(self.skipped)} left out"
        )
        return "\n".join([head, *(f"left out {item.id!r}: {item.reason}" for item in self.skipped)])


def fetch(  # a third of it tells arguments and errors
    source: str, folder: Path, limits: Limits | None = None
) -> FetchReport:
    """Bring a folder up to date with a source.

    Args:
        source: an address that fsspec knows (s3://bucket/photos, https://host/photo.jpg, memory://...), an archive
            (zip, tar, tar.gz, tar.bz2, tar.xz) of this machine or behind such an address, several of one pattern
            (s3://bucket/shard-*.tar; each becomes a folder), or a text file (.txt) with an address on each line.
        folder: where the pictures go: new, empty, or of an earlier run with the same source.
        limits: of files and bytes.

    Raises:
        MissingExtra: fsspec or what it needs for the source is not installed.
        BadInput: no such source, or no picture in it, too much of it, or a folder with other content.
        BackendUnavailable: the source stops answering; what was fetched is kept, and the next run goes on.
    """
    limits, known = limits or Limits(), _state(folder, source)
    with open_source(source) as opened:
        wanted, skipped = _wanted(opened, limits)
        if not wanted:
            why = f" ({skipped[0].id!r}: {skipped[0].reason})" if skipped else ""
            raise BadInput(
                f"there is no picture in {opened.shown!r}{why}; give an address, an archive or a list of some"
            )
        kept = {
            name: known[name]
            for name, item in wanted.items()
            if item.version and known.get(name) == item.version and (folder / name).is_file()
        }
        folder.mkdir(parents=True, exist_ok=True)
        fetched = dict(kept)
        try:
            for name, reason in _copies(folder, {n: i for n, i in wanted.items() if n not in kept}, limits):
                if reason:
                    skipped.append(Skipped(id=name, reason=reason))
                else:
                    fetched[name] = wanted[name].version
        finally:  # what is there is known to the next run
            _keep_state(folder, source, {**known, **fetched})
    gone = known.keys() - wanted.keys()
    for name in gone:
        (folder / name).unlink(missing_ok=True)
    _keep_state(folder, source, {**{name: known[name] for name in known.keys() - gone}, **fetched})
    return FetchReport(
        source=opened.shown,
        folder=folder,
        fetched=len(fetched) - len(kept),
        unchanged=len(kept),
        removed=len(gone),
        skipped=tuple(sorted(skipped, key=lambda item: item.id)),
    )


def folder_for(source: str) -> Path:
    """Where the pictures of a source go when nothing else is said: a folder of its name here."""
    split = urlsplit(source.rsplit("::", 1)[-1])
    # never the part of an address that may hold a password
    name = (split.path.rstrip("/") or split.netloc.rsplit("@", 1)[-1]).rsplit("/", 1)[-1]
    stem = re.sub(r"(?:\.tar)?\.[A-Za-z0-9]{1,4}$", "", name)
    return Path(re.sub(r"[^\w.-]", "_", stem).strip(".") or "pictures")


def _wanted(source: Source, limits: Limits) -> tuple[dict[str, Item], list[Skipped]]:
    """The pictures of a source by the names that they get, and what is left out."""
    wanted, skipped = dict[str, Item](), list[Skipped]()
    for item in list_items(source):
        name, reason = safe_name(item.name)
        if reason:
            skipped.append(Skipped(id=item.name[:200], reason=reason))
        elif not name or not is_picture(name):
            continue
        elif name in wanted:
            skipped.append(Skipped(id=name, reason="a second file of that name"))
        elif item.size is not None and item.size > limits.file_bytes:
            skipped.append(Skipped(id=name, reason=f"more than {limits.file_bytes // 2**20} MiB"))
        else:
            wanted[name] = item
        if len(wanted) > limits.files:
            raise BadInput(f"there are more than {limits.files} pictures; give a part of {source.shown!r}")
    return wanted, skipped


def _copies(folder: Path, items: Mapping[str, Item], limits: Limits) -> Iterator[tuple[str, str]]:
    """Copy files; (name, reason why not, "" where it is there) of each.

    Raises:
        BackendUnavailable: nothing is answered any more.
        BadInput: the pictures are larger than the limit in all, or the disk is full.
    """
    room, failures = limits.bytes, 0
    lanes = LANES if all(item.concurrent for item in items.values()) else 1

    def copied(pair: tuple[str, Item]) -> tuple[str, int, str]:
        try:
            return pair[0], copy_file(pair[1], folder, pair[0], limits.file_bytes), ""
        except Unreadable as problem:
            return pair[0], 0, str(problem)

    pairs = [*items.items()]
    with ThreadPoolExecutor(lanes) as pool:
        for start in range(0, len(pairs), LANES):
            for name, size, reason in pool.map(copied, pairs[start : start + LANES]):
                room, failures = room - size, failures + 1 if reason else 0
                yield name, reason
            if failures >= FAILURES:
                raise BackendUnavailable(f"the source answers no more: {reason}; run this again, it goes on")
            if room < 0:
                raise BadInput(f"the pictures have more than {limits.bytes // 2**30} GiB; raise --most-gb")


def _state(folder: Path, source: str) -> dict[str, str]:
    """Versions of the files of an earlier run.

    Raises:
        BadInput: the folder holds something else.
    """
    try:
        if not folder.exists() or not any(folder.iterdir()):
            return {}
        kept: Any = parse_json(read_file(folder / STATE, STATE_BYTES))
        files = kept["files"]
        if kept["source"] == _digest(source) and all(safe_name(name) == (name, "") for name in files):
            return {str(name): str(version) for name, version in files.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    raise BadInput(f"{str(folder)!r} holds something else than this source; choose a new folder with --into")


def _keep_state(folder: Path, source: str, files: Mapping[str, str]) -> None:
    text = json.dumps({"source": _digest(source), "files": dict(sorted(files.items()))}, indent=0)
    write_atomic(folder / STATE, text)


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()

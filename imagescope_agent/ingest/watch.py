"""A watched folder: its index follows what is written, moved and deleted there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from imagescope_agent.errors import BadInput, ImageScopeError, MissingExtra
from imagescope_agent.retrieval.index import manifest

SETTLE = 1.0  # seconds without a write before files count as whole
LONGEST = 30.0  # seconds after which a folder that is written to all the time is indexed all the same
ATTEMPTS, PAUSE = 5, 2.0  # of an update that failed, and seconds before the next one, doubled each time
#: Events of reading, which indexing causes itself.
READING = ("opened", "closed_no_write")


class FolderWatch:
    """Waits for changes in a folder of images; use as a context manager.

    Args:
        folder: the images.
        ignore: the folder of the index.

    Raises:
        MissingExtra: without the extra `watch`.
        BadInput: the folder is gone or cannot be watched.
    """

    def __init__(self, folder: Path, ignore: Path) -> None:
        try:
            from watchdog.observers import Observer
        except ImportError as error:
            raise MissingExtra("watching needs an extra: pip install 'imagescope-agent[watch]'") from error
        self._folder, self._ignore = folder.resolve(), ignore.resolve()
        self._changed, self._last = threading.Event(), 0.0
        self._observer: Any = Observer()

    def __enter__(self) -> FolderWatch:
        from watchdog.observers.polling import PollingObserver

        try:
            self._start()
        except OSError:  # no more watches, or a file system that has none
            self._observer = PollingObserver()
            try:
                self._start()
            except OSError as error:
                raise BadInput(f"cannot watch {str(self._folder)!r}: {error.strerror}") from error
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self._observer.stop()
        self._observer.join()
        if isinstance(error, ImageScopeError | OSError):
            self._require_folder()
            time.sleep(SETTLE)  # the cause may be that the folder is being deleted
            self._require_folder()

    def dispatch(self, event: Any) -> None:
        """Take one event of the file system, on the thread of the observer."""
        if event.event_type in READING or (event.is_directory and event.event_type == "modified"):
            return
        places = [Path(str(each)) for each in (event.src_path, event.dest_path) if each]
        if any(self._is_shown(place) for place in places):
            self._last = time.monotonic()
            self._changed.set()

    def wait(self) -> None:
        """Return when something changed and nothing was written for `SETTLE` seconds since.

        Raises:
            BadInput: the folder is gone.
        """
        while not self._changed.wait(SETTLE):
            self._require_folder()
        began = time.monotonic()
        while (now := time.monotonic()) - self._last < SETTLE and now - began < LONGEST:
            time.sleep(SETTLE / 10)
        self._changed.clear()  # what comes from here on is seen next time
        self._require_folder()

    def _start(self) -> None:
        self._observer.schedule(self, str(self._folder), recursive=True)
        self._observer.start()

    def _is_shown(self, place: Path) -> bool:
        """Whether a path may concern the images: not in the index, and not hidden."""
        if place == self._folder:
            return True
        if not place.is_relative_to(self._folder) or place.is_relative_to(self._ignore):
            return False
        return not any(part.startswith(".") for part in place.relative_to(self._folder).parts)

    def _require_folder(self) -> None:
        if not self._folder.is_dir():
            raise BadInput(f"the folder {str(self._folder)!r} is gone; watch it again when it is there")


def watch(
    folder: Path, out: Path | None, update: Callable[[], Any], tell: Callable[[str], None]
) -> Iterator[None]:
    """Keep the index of a folder current; each step waits for changes, updates the index and tells them.

    Args:
        folder: the images.
        out: folder of the index; None is FOLDER/.imagescope.
        update: indexes the folder.
        tell: is given a line for each image that came ("+ id"), went ("- id"), changed ("~ id") or was moved
            ("a -> b"), and for each update that failed, which is tried again and then at the next change.

    Raises:
        BadInput: the folder is gone.
        MissingExtra: without the extra `watch`.
    """
    place = out if out is not None else folder / manifest.FOLDER_INDEX
    with FolderWatch(folder, place) as changes:
        update()  # while it is watched: what is written meanwhile is a change
        before = _keys(place)
        while True:
            yield
            changes.wait()
            if _updated(update, tell):
                after = _keys(place)
                for line in differences(before, after):
                    tell(line)
                before = after


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What changed from one index to the next, a line for each image; both are id -> hash of the content."""
    gone = {name: key for name, key in before.items() if name not in after}
    new = {name: key for name, key in after.items() if name not in before}
    sources = {key: name for name, key in gone.items()}
    moved = {sources.pop(key): name for name, key in new.items() if key in sources}
    lines = [f"{old} -> {name}" for old, name in moved.items()]
    lines += [f"- {name}" for name in gone if name not in moved]
    lines += [f"+ {name}" for name in new if name not in moved.values()]
    lines += [f"~ {name}" for name, key in after.items() if before.get(name, key) != key]
    return sorted(lines, key=lambda line: line.removeprefix("+ ").removeprefix("- ").removeprefix("~ "))


def _updated(update: Callable[[], Any], tell: Callable[[str], None]) -> bool:
    """Whether the index is current: tried a few times, then left to the next change."""
    for attempt in range(ATTEMPTS):
        try:
            update()
        except BadInput as error:  # nothing but a change of the folder mends it
            tell(f"not indexed: {error}")
            return False
        except (ImageScopeError, OSError) as error:
            tell(f"not indexed yet: {error}")
            time.sleep(PAUSE * 2**attempt)
        else:
            return True
    return False


def _keys(place: Path) -> dict[str, str]:
    return {entry.id: entry.key for entry in manifest.read(place).entries}

"""What is made of image files, kept as long as the files are the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from cachetools import LRUCache

from imagescope_agent.retrieval.images import stamp

_Value = TypeVar("_Value")


class FileCache(Generic[_Value]):
    """Values made of files, the last used ones; for several threads.

    Args:
        most: sum of their sizes.
        size: of a value; each counts 1 when None.
    """

    def __init__(self, most: int, size: Callable[[_Value], int] | None = None) -> None:
        self._kept: LRUCache[tuple[str, str], _Value] = LRUCache(most, getsizeof=size)
        self._lock = threading.Lock()

    def get(self, path: Path, make: Callable[[], _Value]) -> _Value:
        """What is made of a file, made again only when the file may have changed; nothing larger than the cache."""
        try:
            key = str(path), stamp(path.stat())
        except (OSError, ValueError):
            return make()  # says what is wrong
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = make()
            with self._lock, suppress(ValueError):
                self._kept[key] = found
        return found

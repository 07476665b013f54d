"""Images as a chat model is shown them, held for the next questions about them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from cachetools import LRUCache
from PIL import Image

from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.file_cache import FileCache
from imagescope_agent.retrieval.images import LoadedImage

ENCODED = 64 * 2**20  # bytes held of encoded images: reading and encoding one takes milliseconds
#: Bytes held of the last used of them decoded: a model of this process need not do it again.
DECODED = 32 * 2**20


class ShownImages:
    """Images of files, encoded once as long as the files are the same; for several threads."""

    def __init__(self) -> None:
        self._encoded = FileCache[ImageRef](ENCODED, size=lambda ref: len(ref.data))
        self._decoded: LRUCache[str, Image.Image] = LRUCache(DECODED, getsizeof=_size)
        self._lock = threading.Lock()

    def get(self, path: Path, load: Callable[[], LoadedImage]) -> ImageRef:
        """The image of a file as a chat model is shown it; raises as `load`."""
        loaded: LoadedImage | None = None  # its pixels live until they are held

        def made() -> ImageRef:
            nonlocal loaded
            loaded = load()
            return loaded.ref()

        ref = self._encoded.get(path, made)
        pixels = None if ref.pixels is None else ref.pixels()
        if pixels is not None:
            with self._lock:
                self._decoded[ref.key] = pixels
        return ref


def _size(image: Image.Image) -> int:
    return 3 * image.width * image.height

"""Load untrusted image files: paths inside a folder, content hashes, and images as models are shown them."""

from __future__ import annotations

import hashlib
import io
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.mllms.role import ImageRef
from imagescope_agent.retrieval.imaging.decode import MAX_PIXELS, ImageProblem, decode
from imagescope_agent.retrieval.imaging.formats import FORMATS
from imagescope_agent.retrieval.imaging.scanning import ImageFile, Skipped, scan, stamp

__all__ = [
    "FORMATS", "MAX_PIXELS", "MAX_SIDE", "ImageFile", "ImageProblem", "LoadedImage", "Skipped", "digest", "inside",
    "load", "load_new", "open_image", "scan", "stamp",
]  # fmt: skip

MAX_SIDE = 1024  # as models are shown it; the original is released at once
LOSSLESS_PIXELS = 512 * 512  # up to here a picture is handed on as PNG, above as JPEG


@dataclass(frozen=True, kw_only=True)
class LoadedImage:
    """A decoded file: RGB, longest side at most `MAX_SIDE`, and the sha256 of the file it came from.

    `share` is below 1 where the file was cut off: so much of the picture is there, the rest is grey.
    """

    image: Image.Image
    key: str
    share: float = 1.0

    def ref(self) -> ImageRef:
        """The image encoded anew for a chat model: nothing of the original file but its pixels."""
        buffer = io.BytesIO()
        if self.image.width * self.image.height <= LOSSLESS_PIXELS:
            self.image.save(buffer, "PNG", compress_level=1)
            return ImageRef(key=self.key, data=buffer.getvalue(), pixels=weakref.ref(self.image))
        self.image.save(buffer, "JPEG", quality=92, subsampling=0)
        return ImageRef(key=self.key, data=buffer.getvalue())


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a file, whatever its name says, to upright RGB at full size, as a viewer shows it.

    Of an animation that is the first frame, or the first with something on it. A JPEG of more than `max_pixels` comes
    at a half, a quarter or an eighth of its size.

    Raises:
        ImageProblem: the file is missing, unreadable, empty, no image, broken, or larger than `max_pixels`.
    """
    with _opened(path) as file:
        return decode(path, file, max_pixels, None)[0]


def load(path: Path, *, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Decode a file to what the models are shown (see `LoadedImage`).

    Raises:
        ImageProblem: as `open_image`.
    """
    with _opened(path) as file:
        return _loaded(path, file, _digest(path, file), max_pixels)


def load_new(path: Path, known: Callable[[str], bool]) -> LoadedImage | str:
    """As `load`, but of a file whose content is known already only its sha256.

    Args:
        path: the file.
        known: whether content of this sha256 needs no decoding.

    Raises:
        ImageProblem: as `open_image`.
    """
    with _opened(path) as file:
        key = _digest(path, file)
        return key if known(key) else _loaded(path, file, key, MAX_PIXELS)


def digest(path: Path) -> str:
    """The sha256 of a file's content, in hex.

    Raises:
        ImageProblem: the file cannot be read.
    """
    with _opened(path) as file:
        return _digest(path, file)


def _digest(path: Path, file: io.BufferedReader) -> str:
    try:
        key = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
    except OSError as error:
        raise ImageProblem(path, f"unreadable ({error.strerror})") from error
    return key


def _loaded(path: Path, file: io.BufferedReader, key: str, max_pixels: int) -> LoadedImage:
    image, share = decode(path, file, max_pixels, MAX_SIDE)
    return LoadedImage(image=image, key=key, share=share)


def inside(folder: Path, name: str) -> Path:
    """The real path of the file `name` in the folder, every link followed.

    Raises:
        ImageProblem: the name leads outside the folder, or nowhere.
    """
    root = real_path(folder)
    try:
        target = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        mend = "index the folder again"
        raise ImageProblem(name, f"it is no longer in {str(folder)!r}", mend=mend) from error
    if not target.is_relative_to(root) or target == root:
        raise ImageProblem(name, f"it lies outside {str(folder)!r}", mend="use an id of the collection")
    return target


def _opened(path: Path) -> io.BufferedReader:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise ImageProblem(path, "there is no such file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageProblem(path, f"unreadable ({reason})") from error

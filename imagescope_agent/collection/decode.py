"""A picture file decoded to upright RGB as any viewer shows it; a file is untrusted input."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from imagescope_agent.collection.appearance import best_frame, eight_bit, flatten, in_srgb, main_page
from imagescope_agent.collection.formats import NotAPicture, open_lazily, quiet
from imagescope_agent.collection.mending import LEAST_SHARE, mend, reduce
from imagescope_agent.errors import BadInput

MAX_PIXELS = 80_000_000  # below Pillow's own alarm; 240 MB as RGB
MAX_REDUCED = 1_000_000_000  # of a JPEG whose rows are decoded one after the other, at an eighth of its size

_UPRIGHT = {  # EXIF orientation -> what sets the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageProblem(BadInput):
    """A file that cannot be shown as a picture; `reason` says why in a few words."""

    def __init__(self, path: Path | str, reason: str, *, mend: str = "give another file") -> None:
        super().__init__(f"cannot use {str(path)!r} as an image: {reason}; {mend}")
        self.reason = reason


def decode(path: Path, file: IO[bytes], max_pixels: int, max_side: int | None) -> tuple[Image.Image, float]:
    """RGB fitted into `max_side`, None for full size, and the share of its pixels that the file holds.

    The share is 1 but for a file that was cut off, where at least half of the pixels are there.

    Raises:
        ImageProblem: the file is empty, no image, broken, cut off too early, or larger than `max_pixels`.
    """
    with quiet():
        try:
            return _shown(_read(path, file, max_pixels, max_side), max_side), 1.0
        except ImageProblem:
            raise
        except Image.DecompressionBombError as error:
            raise ImageProblem(path, f"too many pixels (limit {max_pixels})") from error
        except Exception as error:  # noqa: BLE001 -- a decoder fed with hostile bytes may raise anything
            return _mended(path, file, max_pixels, max_side, error)


def _read(path: Path, file: IO[bytes], max_pixels: int, max_side: int | None) -> ImageFile:
    image = open_lazily(file)
    main_page(image)
    width, height = image.size
    limit = max_pixels
    if image.format == "JPEG":
        limit = max(limit, MAX_REDUCED) if _row_by_row(image, file) else limit
        reduce(image, max_side, max_pixels)
    if width * height > limit:
        raise ImageProblem(path, f"{width} x {height} pixels are too many (limit {limit})")
    image.load()
    return image


def _row_by_row(image: ImageFile, file: IO[bytes]) -> bool:
    """Whether a JPEG is decoded row by row; libjpeg holds all of one that comes in several scans."""
    bands = image.layers  # type: ignore[attr-defined]
    file.seek(-4 - 2 * bands, io.SEEK_CUR)  # Pillow has read up to the end of the first scan's header
    return not image.info.get("progressive") and file.read(1) == bytes([bands])


def _mended(
    path: Path, file: IO[bytes], max_pixels: int, max_side: int | None, error: Exception
) -> tuple[Image.Image, float]:
    """What can be shown of a file that cannot be read as it is.

    Raises:
        ImageProblem: nothing, or too little.
    """
    try:
        mended = mend(file, max_side=max_side, max_pixels=max_pixels)
        if mended is not None and mended.share >= LEAST_SHARE:
            return _shown(mended.image, max_side), mended.share
    except Exception:  # noqa: BLE001 -- then it is what it was before
        mended = None
    if mended is not None:
        raise ImageProblem(path, f"broken: only {mended.share:.0%} of it is there") from error
    if isinstance(error, NotAPicture):
        raise ImageProblem(path, str(error)) from error
    raise ImageProblem(path, f"broken ({type(error).__name__})") from error


def _shown(image: ImageFile, max_side: int | None) -> Image.Image:
    """Upright RGB on a ground, fitted into `max_side`."""
    turn = _UPRIGHT.get(_orientation(image))
    frame = best_frame(image)
    flat = eight_bit(frame)
    if max_side is not None and max(flat.size) > max_side:
        scale = max_side / max(flat.size)
        size = (max(1, round(flat.width * scale)), max(1, round(flat.height * scale)))
        flat = flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    flat = flatten(in_srgb(flat, frame.info))
    flat = flat if flat.mode == "RGB" else flat.convert("RGB")
    flat.info = {}
    return flat if turn is None else flat.transpose(turn)


def _orientation(image: ImageFile) -> int:
    try:
        found: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 -- damaged EXIF does not cost the picture
        return 1
    return found if isinstance(found, int) else 1

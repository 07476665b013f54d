"""Decode an untrusted image file to upright RGB, as a viewer shows it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.imaging.formats import NotAPicture, is_foreign, open_lazily, quiet
from imagescope_agent.retrieval.imaging.rendering import best_frame, eight_bit, flatten, in_srgb, main_page
from imagescope_agent.retrieval.imaging.repair import LEAST_SHARE, reduce, repair
from imagescope_agent.retrieval.imaging.truncation import is_cut_off

MAX_PIXELS = 80_000_000  # below Pillow's own limit; 240 MB as RGB
MAX_REDUCED = 1_000_000_000  # of a JPEG whose rows are decoded one after the other, at an eighth of its size

_UPRIGHT = {  # EXIF orientation -> transpose to upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageProblem(BadInput):
    """A file that cannot be used as an image; `reason` says why in a few words."""

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
            return _repaired(path, file, max_pixels, max_side, error)


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


def _repaired(
    path: Path, file: IO[bytes], max_pixels: int, max_side: int | None, error: Exception
) -> tuple[Image.Image, float]:
    """Decode a damaged file as far as possible.

    Raises:
        ImageProblem: nothing, or too little.
    """
    try:
        repaired = repair(file, max_side=max_side, max_pixels=max_pixels)
        if repaired is not None and repaired.share >= LEAST_SHARE:
            return _shown(repaired.image, max_side), repaired.share
    except Exception:  # noqa: BLE001 -- then it is what it was before
        repaired = None
    if repaired is not None:
        raise ImageProblem(path, f"broken: only {repaired.share:.0%} of it is there") from error
    if is_cut_off(file) and not (isinstance(error, NotAPicture) and is_foreign(file)):
        raise ImageProblem(path, "broken: truncated, its end was cut off", mend="obtain it again") from error
    if isinstance(error, NotAPicture):
        raise ImageProblem(path, str(error)) from error
    raise ImageProblem(path, f"broken ({type(error).__name__})") from error


def _shown(image: ImageFile, max_side: int | None) -> Image.Image:
    """Upright RGB without transparency, fitted into `max_side`."""
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
    except Exception:  # noqa: BLE001 -- damaged EXIF does not make the image unusable
        return 1
    return found if isinstance(found, int) else 1

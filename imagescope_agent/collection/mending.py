"""Damage that viewers do not mind: a missing end, and what stands in a file beside its picture."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from imagescope_agent.collection.formats import JPEG, PNG, open_lazily

MOST = 512 * 2**20  # bytes of a file that is mended; it is held in memory for that
LEAST_SHARE = 0.5  # of the pixels of a file that was cut off: with fewer it is no picture any more
MAX_PROFILE = 16 * 2**20  # bytes of a colour profile, unpacked

_END = b"\xff\xd9"  # of a JPEG
_JUNK = b"\x55" * 64  # reads as picture data where some is missing, is passed over where none is
_GREY = 128
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"acTL": 8, b"fcTL": 26}  # chunks of the picture, of one size
_KEPT = (*_SIZES, b"tRNS", b"eXIf", b"fdAT")


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A picture with its pixels, and the share of them that its file holds."""

    image: ImageFile
    share: float = 1.0


def mend(file: IO[bytes], *, max_side: int | None, max_pixels: int) -> Mended | None:
    """Read a file that could not be read as it is; None where there is nothing to mend.

    A JPEG and a file of plain rows (PNG, BMP, TIFF) may end early: what is missing is grey. A PNG is read without
    its texts and without those chunks beside the picture that are damaged.

    Raises:
        Exception: whatever a decoder makes of it.
    """
    file.seek(0)
    head = file.read(len(PNG))
    file.seek(0)
    if not head.startswith((JPEG, PNG)):
        return _rows(file, max_pixels, None)
    data = file.read(MOST + 1)
    if len(data) > MOST:
        return None
    if head.startswith(JPEG):
        return _jpeg(data, max_side, max_pixels)
    data, profile = without_extras(data)
    return _rows(io.BytesIO(data), max_pixels, profile)


def reduce(image: ImageFile, max_side: int | None, max_pixels: int) -> None:
    """Have a JPEG decoded at a half, a quarter or an eighth, where that is enough, or where more is too much."""
    width, height = image.size
    wanted = (max_side, max_side) if max_side is not None else (width, height)
    for part in (1, 2, 4, 8):
        if width * height <= max_pixels * part * part:
            wanted = (min(wanted[0], width // part), min(wanted[1], height // part))
            break
    image.draft(None, (max(1, wanted[0]), max(1, wanted[1])))


def without_extras(data: bytes) -> tuple[bytes, bytes | None]:
    """A PNG of what makes its picture alone, and its colour profile."""
    kept, profile = [PNG], None
    for kind, body, sound in _chunks(data):
        if kind == b"iCCP" and sound:
            profile = _unpacked(body)
        needed = kind in _CRITICAL
        if needed or (sound and kind in _KEPT and len(body) == _SIZES.get(kind, len(body))):
            checksum = zlib.crc32(kind + body) if sound else 0  # a damaged one stays damaged
            kept.append(len(body).to_bytes(4, "big") + kind + body + checksum.to_bytes(4, "big"))
    return b"".join(kept), profile


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Kind, content and whether the checksum is right of every chunk; a last one that is cut off counts as right."""
    place = len(PNG)
    while place + 8 <= len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        body = data[place + 8 : place + 8 + size]
        checksum = data[place + 8 + size : place + 12 + size]
        yield kind, body, len(checksum) < 4 or int.from_bytes(checksum, "big") == zlib.crc32(kind + body)
        place += 12 + size


def _unpacked(body: bytes) -> bytes | None:
    _, _, packed = body.partition(b"\0")
    inflate = zlib.decompressobj()
    try:
        profile = inflate.decompress(packed[1:], MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflate.eof else None


def _jpeg(data: bytes, max_side: int | None, max_pixels: int) -> Mended:
    """With the end put back; libjpeg makes exactly grey what it has no data for."""
    body = data.rstrip(b"\xff")
    image, other = (open_lazily(io.BytesIO(body + more + _END)) for more in (b"", _JUNK))
    for each in (image, other):
        reduce(each, max_side, max_pixels)
        each.load()
    pixels = np.asarray(image)
    if np.array_equal(pixels, np.asarray(other)):
        return Mended(image=image)  # junk makes no difference: nothing but the end was missing
    return Mended(image=image, share=_share_unlike(pixels, _GREY))


def _rows(file: IO[bytes], max_pixels: int, profile: bytes | None) -> Mended | None:
    """On grey: what the decoder has not come to stays so."""
    image = open_lazily(file)
    if image.width * image.height > max_pixels:
        return None
    if profile is not None:
        image.info["icc_profile"] = profile
    image.im = Image.new(image.mode, image.size, _ground(image.mode)).im
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error) or image.info.get("interlace"):
            raise
        image.tile = []
        share = _share_unlike(np.asarray(image), _ground(image.mode))
        return Mended(image=image, share=share)
    return Mended(image=image)


def _ground(mode: str) -> tuple[int, ...] | int:
    """Grey, which few pixels of a picture are exactly; the first colour of a palette."""
    bands = len(Image.Image.getbands(Image.new(mode, (1, 1))))
    if bands > 1:
        return (_GREY,) * bands
    return _GREY if mode == "L" else 0


def _share_unlike(pixels: np.ndarray, ground: tuple[int, ...] | int) -> float:
    unlike = pixels != np.asarray(ground)
    return float((unlike.any(axis=2) if unlike.ndim == 3 else unlike).mean())

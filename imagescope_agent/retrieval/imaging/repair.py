"""Repair damage that viewers tolerate: truncated files and damaged metadata."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from imagescope_agent.retrieval.imaging.formats import JPEG, PNG, open_lazily

MOST = 512 * 2**20  # bytes of a file that is repaired in memory
LEAST_SHARE = 0.5  # of the pixels of a file that was cut off: with fewer it is no picture any more
MAX_PROFILE = 16 * 2**20  # bytes of a colour profile, unpacked

_START, _SCAN, _END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"  # of a JPEG
_JUNK = b"\x55" * 64  # reads as picture data where some is missing, is passed over where none is
#: The same where the data was cut off before a restart marker, whichever is expected there.
_MORE = _JUNK + b"".join(bytes((0xFF, 0xD0 + number)) + _JUNK for number in range(8))
_GREY, _OTHER_GREY = 128, 64
_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"acTL": 8, b"fcTL": 26}  # chunks of the picture, of one size
_KEPT = (*_SIZES, b"tRNS", b"eXIf", b"fdAT")


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """A decoded image, and the share of its pixels that the file holds; one that is there coarsely counts half."""

    image: ImageFile
    share: float = 1.0


def repair(file: IO[bytes], *, max_side: int | None, max_pixels: int) -> Repaired | None:
    """Decode a damaged file; None where nothing can be repaired.

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
    """Decode a JPEG at 1/2, 1/4 or 1/8 where that is enough, or where more is too large."""
    width, height = image.size
    wanted = (max_side, max_side) if max_side is not None else (width, height)
    for part in (1, 2, 4, 8):
        if width * height <= max_pixels * part * part:
            wanted = (min(wanted[0], width // part), min(wanted[1], height // part))
            break
    image.draft(None, (max(1, wanted[0]), max(1, wanted[1])))


def without_extras(data: bytes) -> tuple[bytes, bytes | None]:
    """A PNG with its image chunks only, and its colour profile."""
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


def _jpeg(data: bytes, max_side: int | None, max_pixels: int) -> Repaired:
    """Decode with an end marker appended; libjpeg fills missing data with exact grey."""
    body = data.rstrip(b"\xff")
    image, other = (open_lazily(io.BytesIO(body + more + _END)) for more in (b"", _MORE))
    height, unit = image.height, 8 * max(layer[2] for layer in image.layer)  # type: ignore[attr-defined]
    for each in (image, other):
        reduce(each, max_side, max_pixels)
        each.load()
    rows = max(1, unit * image.height // height)  # that are decoded at once
    share = _share_before_difference(np.asarray(image), np.asarray(other), rows)
    return Repaired(image=image, share=(1 + share) / 2 if _first_scan_is_whole(body) else share)


def _share_before_difference(one: np.ndarray, other: np.ndarray, block: int) -> float:
    """The share of pixels before two pictures differ, block by block: there the data ends; 1 where they are equal.

    Args:
        one: (rows, columns) or (rows, columns, bands).
        other: of the same shape.
        block: rows of a block.
    """
    unlike = one != other
    unlike = unlike.any(axis=2) if unlike.ndim == 3 else unlike
    if not unlike.any():
        return 1.0
    # upsampled colours reach into the row above
    first = min(int(unlike.any(axis=1).argmax()) + 1, len(unlike) - 1) // block * block
    band = unlike[first : first + block]
    column = int(band.any(axis=0).argmax())
    return float((first * unlike.shape[1] + column * len(band)) / unlike.size)


def _first_scan_is_whole(data: bytes) -> bool:
    """Whether a second scan of a JPEG begins: the first one, of a coarse or a grey picture, is there then."""
    place = len(_START)
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] != _SCAN[1:]:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return data.find(_SCAN, place + 2) >= 0


def _rows(file: IO[bytes], max_pixels: int, profile: bytes | None) -> Repaired | None:
    """Decode onto grey, which remains where data is missing."""
    image = open_lazily(file)
    if image.width * image.height > max_pixels:
        return None
    if profile is not None:
        image.info["icc_profile"] = profile
    if not _breaks_off(image, _GREY):
        return Repaired(image=image)
    other = open_lazily(file)
    _breaks_off(other, _OTHER_GREY)
    missing = np.asarray(image) != np.asarray(other)  # what shows through
    share = 1 - float((missing.any(axis=2) if missing.ndim == 3 else missing).mean())
    return Repaired(image=image, share=share)


def _breaks_off(image: ImageFile, grey: int) -> bool:
    """Decode an image onto a grey; whether its data ends early.

    Raises:
        Exception: whatever else a decoder makes of it.
    """
    image.im = Image.new(image.mode, image.size, _ground(image.mode, grey)).im
    try:
        image.load()
    except OSError as error:
        if "truncated" not in str(error) or image.info.get("interlace"):
            raise
        image.tile = []
        return True
    return False


def _ground(mode: str, grey: int) -> tuple[int, ...] | int:
    """The grey as a pixel; black and white, or colours of a palette, where there is none."""
    bands = len(Image.Image.getbands(Image.new(mode, (1, 1))))
    if bands > 1:
        return (grey,) * bands
    return grey if mode == "L" else {_GREY: 0, _OTHER_GREY: 255 if mode == "1" else 1}[grey]

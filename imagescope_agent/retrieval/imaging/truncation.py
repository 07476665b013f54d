"""Tell from its structure whether an image file ends before its content does."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import IO

from imagescope_agent.retrieval.imaging.formats import JPEG, PNG

_JPEG_TAIL = 2**16  # bytes in which the end of a JPEG is looked for: other data may follow it
_MOST_PARTS = 100_000  # of a file that are looked at
_TIFF_TYPES = {3: "H", 4: "I"}  # of offsets and sizes
_TIFF_BYTES = {
    3: 2,
    4: 4,
    5: 8,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
}  # of a value of each type; of others 1
_PLACES = ((273, 279), (324, 325))  # tags: offsets and sizes of strips, of tiles


def is_cut_off(file: IO[bytes]) -> bool:
    """Whether the end of a JPEG, PNG, GIF, WebP, BMP, ICO, TIFF, AVIF or HEIC is missing."""
    size = file.seek(0, io.SEEK_END)
    head = _at(file, 0, 16)
    try:
        if head.startswith(JPEG):
            return b"\xff\xd9" not in _at(file, max(0, size - _JPEG_TAIL), _JPEG_TAIL)
        if head.startswith(PNG):
            return not any(kind == b"IEND" for kind, _ in _chunks(file, size))
        if head.startswith(b"GIF8"):
            return not _at(file, max(0, size - 64), 64).rstrip(b"\0").endswith(b";")
        if head.startswith(b"RIFF"):
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head.startswith(b"BM"):
            return int.from_bytes(head[2:6], "little") > size
        if head.startswith(b"\0\0\1\0"):
            return any(start + length > size for start, length in _icons(file, head))
        if head.startswith((b"II*\0", b"MM\0*")):
            return any(start + length > size for start, length in _strips(file, size))
        return head[4:8] == b"ftyp" and _boxes_end_early(file, size)
    except (struct.error, IndexError):  # it ends within its own description
        return True


def _at(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)


def _chunks(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int]]:
    """Kind and end of every chunk of a PNG that is there as a whole."""
    place = len(PNG)
    for _ in range(_MOST_PARTS):
        length, kind = struct.unpack(">I4s", _at(file, place, 8))
        place += 12 + length
        if place > size:
            return
        yield kind, place


def _icons(file: IO[bytes], head: bytes) -> Iterator[tuple[int, int]]:
    for number in range(int.from_bytes(head[4:6], "little")):
        length, start = struct.unpack("<II", _at(file, 6 + 16 * number + 8, 8))
        yield start, length


def _strips(file: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Start and length of what the pages of a TIFF consist of."""
    order = "<" if _at(file, 0, 1) == b"I" else ">"
    (place,) = struct.unpack(order + "I", _at(file, 4, 4))
    for _ in range(100):
        if not place:
            return
        (count,) = struct.unpack(order + "H", _at(file, place, 2))
        tags = [struct.unpack(order + "HHI4s", _at(file, place + 2 + 12 * n, 12)) for n in range(count)]
        for _, kind, values, field in tags:
            if (width := _TIFF_BYTES.get(kind, 1) * values) > 4:
                yield struct.unpack(order + "I", field)[0], width
        kept = {
            tag: _values(file, order, *entry) for tag, *entry in tags if any(tag in pair for pair in _PLACES)
        }
        for starts, lengths in _PLACES:
            yield from zip(kept.get(starts, ()), kept.get(lengths, ()), strict=False)
        (place,) = struct.unpack(order + "I", _at(file, place + 2 + 12 * count, 4))


def _values(file: IO[bytes], order: str, kind: int, count: int, field: bytes) -> tuple[int, ...]:
    form = f"{order}{min(count, _MOST_PARTS)}{_TIFF_TYPES.get(kind, 'I')}"
    width = struct.calcsize(form)
    data = field[:width] if width <= 4 else _at(file, struct.unpack(order + "I", field)[0], width)
    return struct.unpack(form, data)


def _boxes_end_early(file: IO[bytes], size: int) -> bool:
    """Whether a box of an ISO media file reaches beyond the end, or none holds the picture."""
    place, kinds = 0, set()
    for _ in range(_MOST_PARTS):
        if place >= size:
            break
        length, kind = struct.unpack(">I4s", _at(file, place, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", _at(file, place + 8, 8))
        kinds.add(kind)
        if length == 0:  # up to the end, wherever that is
            break
        if length < 8:
            return False
        place += length
    return place > size or not kinds & {b"mdat", b"idat", b"moov"}

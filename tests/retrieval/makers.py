"""Small picture files, odd in one way each, made with Pillow, numpy and struct."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageDraw

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # white, red, green, blue: x, y
DISPLAY_P3 = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE_RGB = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    with io.BytesIO() as file:
        image.save(file, form, **options)
        return file.getvalue()


def with_chunks(png: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks before its pixels."""
    place = png.index(b"IDAT") - 4
    return png[:place] + b"".join(chunks) + png[place:]


def photo(size: tuple[int, int] = (240, 160), seed: int = 0) -> Image.Image:
    """Soft coloured patches, as a photo has them."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def drawing(ink: tuple[int, ...] = (255, 255, 255)) -> Image.Image:
    """A thin square on transparency."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((16, 16, 48, 48), outline=(*ink, 255), width=3)
    return image


def to_xyz(primaries: Sequence[float]) -> npt.NDArray[np.float64]:
    white, *colours = (
        np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in zip(*[iter(primaries)] * 2, strict=True)
    )
    matrix = np.stack(colours, axis=1)
    result: npt.NDArray[np.float64] = matrix * np.linalg.solve(matrix, white)
    return result


def profile(
    primaries: Sequence[float], gamma: float = 2.2, *, order: str = "rgb", grey: bool = False
) -> bytes:
    """An ICC version 2 display profile; `order` puts the columns of the primaries in other places."""
    x, y = primaries[:2]
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    adapted = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    columns = dict(zip(order, (adapted @ to_xyz(primaries)).T, strict=True))
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    tags: dict[bytes, bytes] = {b"wtpt": _xyz(D50), b"cprt": b"text" + bytes(4) + b"none\0"}
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"mine\0" + bytes(78)
    if grey:
        tags[b"kTRC"] = curve
    else:
        for colour in "rgb":
            tags[colour.encode() + b"XYZ"], tags[colour.encode() + b"TRC"] = _xyz(columns[colour]), curve
    table, data, place = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", place + len(data), len(body))
        data += body
    space = b"GRAY" if grey else b"RGB "
    head = struct.pack(">I4sI4s4s4s12s4s", place + len(data), bytes(4), 0x02100000, b"mntr", space, b"XYZ ",
                       struct.pack(">6H", 2026, 1, 1, 0, 0, 0), b"acsp")  # fmt: skip
    return head + bytes(28) + struct.pack(">3i", *(round(v * 65536) for v in D50)) + bytes(48) + table + data


def _xyz(values: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65536) for v in values))


def in_space(image: Image.Image, icc: bytes) -> Image.Image:
    """A picture's samples in the space of a profile, so that they look the same there."""
    space = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    made = ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), space, outputMode="RGB")
    assert made is not None
    return made


RED, GREY = (255, 0, 0), (200, 80, 60)


def near(image: Image.Image, colour: tuple[int, ...], by: int = 6) -> bool:
    middle = np.asarray(image)[image.height // 2, image.width // 2].astype(int)
    return bool(np.abs(middle - np.asarray(colour)).max() <= by)


def flat(colour: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (16, 16), colour)

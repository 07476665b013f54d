"""Small files of every format, and seeded damage to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from tests.collection.makers import DISPLAY_P3, chunk, drawing, encoded, photo, profile, with_chunks

Damage = Callable[[random.Random, bytearray, bytes], bytearray]


def samples() -> dict[str, bytes]:
    """One small file of each kind."""
    small, other = photo((48, 32)), photo((48, 32), seed=1)
    deep = Image.fromarray(np.arange(48 * 32, dtype=np.uint16).reshape(32, 48))
    animated = {"save_all": True, "append_images": [other, small]}
    blank = Image.new("RGB", (48, 32), "white")
    icc = profile(DISPLAY_P3)
    return {
        "png": encoded(small, "PNG"),
        "png with texts": with_chunks(encoded(small, "PNG"), chunk(b"tEXt", b"a\0" + b"x" * 500)),
        "png with profile": encoded(small, "PNG", icc_profile=icc),
        "png on transparency": encoded(drawing(), "PNG"),
        "png of 16 bit": encoded(deep, "PNG"),
        "apng": encoded(blank, "PNG", **animated),
        "jpeg": encoded(small, "JPEG", icc_profile=icc, exif=_exif()),
        "jpeg in scans": encoded(small, "JPEG", progressive=True),
        "jpeg for print": encoded(small.convert("CMYK"), "JPEG"),
        "mpo": encoded(small, "MPO", save_all=True, append_images=[other]),
        "gif": encoded(small, "GIF"),
        "gif that moves": encoded(blank, "GIF", **animated),
        "webp": encoded(small, "WEBP"),
        "webp that moves": encoded(blank, "WEBP", lossless=True, **animated),
        "bmp": encoded(small, "BMP"),
        "tiff": encoded(small, "TIFF", exif=_exif()),
        "tiff packed": encoded(small, "TIFF", compression="tiff_lzw"),
        "tiff of floats": encoded(Image.fromarray(np.eye(16, dtype=np.float32)), "TIFF"),
        "avif": encoded(small, "AVIF"),
        "ppm": encoded(small, "PPM"),
        "ico": encoded(small.resize((64, 64)), "ICO", sizes=[(16, 16), (64, 64)]),
    }


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` damaged files with the kind they were made of; the same seed gives the same."""
    rng, whole = random.Random(seed), samples()
    names = sorted(whole)
    for number in range(count):
        name = names[number % len(names)]
        data = bytearray(whole[name])
        for _ in range(rng.choice((1, 1, 2, 4))):
            data = rng.choice(DAMAGES)(rng, data, whole[rng.choice(names)])
        yield name, bytes(data)


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _place(rng: random.Random, data: bytearray) -> int:
    """Anywhere, more often near the beginning, where most is decided."""
    return rng.randrange(min(len(data), 64) if rng.random() < 0.4 else len(data)) if data else 0


def _flip(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    for _ in range(rng.choice((1, 3, 20))):
        if data:
            data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _cut(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _append(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    return data + (rng.randbytes(rng.randrange(2000)) if rng.random() < 0.5 else other)


def _swap_head(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    length = rng.choice((4, 8, 12, 24, 64))
    return bytearray(other[:length]) + data[length:]


def _shuffle(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    edges = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    parts = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
    rng.shuffle(parts)
    return bytearray().join(parts)


def _repeat(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    start = _place(rng, data)
    part = data[start : start + rng.randrange(1, 200)]
    return data[:start] + part * rng.choice((2, 3, 50)) + data[start:]


def _number(rng: random.Random, data: bytearray, other: bytes) -> bytearray:
    """A field that may be a size or an offset becomes an extreme one."""
    value = rng.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 0xFFFF, 70_000))
    place = _place(rng, data)
    data[place : place + 4] = value.to_bytes(4, rng.choice(("big", "little")))
    return data


DAMAGES: tuple[Damage, ...] = (_flip, _flip, _cut, _append, _swap_head, _shuffle, _repeat, _number)

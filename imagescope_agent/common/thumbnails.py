"""Thumbnails, and thumbnails as `data:` URIs for pages that load nothing."""

from __future__ import annotations

import base64
import io

from PIL import Image


def thumbnail(image: Image.Image, side: int) -> Image.Image:
    """A copy whose longest side is at most `side` pixels."""
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return small


def encode_thumbnail(image: Image.Image, side: int) -> bytes:
    """The thumbnail of an RGB image as WebP."""
    buffer = io.BytesIO()
    thumbnail(image, side).save(buffer, "WEBP", quality=80, method=2)
    return buffer.getvalue()


def to_data_uri(image: Image.Image, side: int) -> str:
    """The thumbnail of an RGB image as a WebP `data:` URI."""
    return "data:image/webp;base64," + base64.b64encode(encode_thumbnail(image, side)).decode("ascii")

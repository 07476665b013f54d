"""Detect image formats by content, not by file name, and describe files that are not read."""

from __future__ import annotations

import ctypes
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

# Only what decodes inside Pillow: none of these starts another program or refers to another file.
_WANTED = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "ICO")
Image.init()
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)

HEAD = 512  # bytes that tell what a file is
JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
UNKNOWN = "not an image in a known format"

_CONVERT = "save it as PNG or JPEG"
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_BRANDS = (
    (b"crx ", f"a Canon raw photo, which is not read; {_CONVERT}"),
    (b"avif", "an AVIF picture, which this Pillow does not read; install pillow 11.3 or newer"),
    (b"avis", "an AVIF picture, which this Pillow does not read; install pillow 11.3 or newer"),
)
_STARTS = (
    (b"\xff\x0a", f"a JPEG XL picture, which is not read; {_CONVERT}"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", f"a JPEG XL picture, which is not read; {_CONVERT}"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", f"a JPEG 2000 picture, which is not read; {_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"a JPEG 2000 picture, which is not read; {_CONVERT}"),
    (b"8BPS", f"{UNKNOWN}: a Photoshop file; {_CONVERT}"),
    (b"gimp xcf", f"{UNKNOWN}: a GIMP file; {_CONVERT}"),
    (b"FUJIFILMCCD-RAW", f"a raw photo, which is not read; {_CONVERT}"),
    (b"%PDF", f"{UNKNOWN}: a PDF document"),
    (b"%!PS", f"{UNKNOWN}: a PostScript document"),
    (b"PK\x03\x04", f"{UNKNOWN}: a ZIP archive; unpack it"),
    (b"\x1f\x8b", f"{UNKNOWN}: a compressed file; unpack it"),
    (b"version https://git-lfs", f"{UNKNOWN}: a Git LFS pointer; fetch the file with `git lfs pull`"),
    (b"\x1aE\xdf\xa3", f"{UNKNOWN}: a video"),
)
_TEXTS = (
    (b"<svg", f"{UNKNOWN}: an SVG drawing; save it as PNG"),
    (b"<html", f"{UNKNOWN}: a web page; obtain the picture again"),
    (b"<!doctype html", f"{UNKNOWN}: a web page; obtain the picture again"),
)


_LEVELS = {"1": 1, "L;2": 3, "L;4": 15}  # of grey PNG files of few bits

_QUIET = threading.Lock()  # warnings are switched off for the whole process, so one thread at a time may


class NotAPicture(Exception):
    """A file of an unknown or unsupported format; the message says which."""


def _silence() -> None:
    """Keep decoders from printing warnings about damaged files: the caller gets an exception."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):  # where it cannot be found it prints
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
        for library in set(re.findall(r"/\S*/libtiff\S*\.so\S*", maps)):
            ctypes.CDLL(library).TIFFSetErrorHandler(None)


_silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that decoders give about damaged files."""
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_lazily(file: IO[bytes]) -> ImageFile:
    """Open the image in a file without decoding its pixels.

    A JPEG is opened without Pillow's limit of pixels, because it can be decoded at an eighth of its size.

    Raises:
        NotAPicture: the format is unknown.
        Image.DecompressionBombError: another format of more pixels than Pillow's limit.
        Exception: whatever a decoder makes of a damaged file.
    """
    head = _head(file)
    try:
        if head.startswith(JPEG):
            return JpegImageFile(file)
        if is_heif(head):
            return _heif(file)
        image: ImageFile = Image.open(file, formats=FORMATS)
        _scale_transparency(image)
        return image
    except (UnidentifiedImageError, SyntaxError) as error:
        raise NotAPicture(describe(head)) from error


def _scale_transparency(image: ImageFile) -> None:
    """Let the transparent sample of a PNG be one of the samples that Pillow makes of the file's."""
    sample, tile = image.info.get("transparency"), image.tile[0] if image.tile else None
    if image.format != "PNG" or tile is None:
        return
    coding = tile[3] if isinstance(tile[3], str) else str((tile[3] or ("",))[0])
    if isinstance(sample, int) and coding in _LEVELS:
        image.info["transparency"] = sample * 255 // _LEVELS[coding]
    elif isinstance(sample, tuple) and coding.endswith(";16B"):
        image.info["transparency"] = tuple(each >> 8 for each in sample)


def is_picture(path: Path) -> bool:
    """Whether the start of a file is that of a supported image; its pixels are not decoded."""
    try:
        with path.open("rb") as file, quiet():
            open_lazily(file)
    except Image.DecompressionBombError:
        return True  # a picture, if too large a one
    except Exception:  # noqa: BLE001 -- a decoder fed with hostile bytes may raise anything
        return False
    return True


def described(path: Path) -> str:
    """Describe a file that is not read."""
    try:
        with path.open("rb") as file:
            return describe(_head(file))
    except OSError as error:
        return f"unreadable ({error.strerror})"


def is_heif(head: bytes) -> bool:
    """Whether a file begins as a HEIC photo; AVIF lies in the same container, but is no HEIC."""
    return (
        head[4:8] == b"ftyp" and not _brands(head) & {b"avif", b"avis"} and bool(_brands(head) & set(_HEIF))
    )


def is_foreign(file: IO[bytes]) -> bool:
    """Whether a file is an ISO media file, or RIFF, of a kind that this Pillow does not read even when it is whole."""
    head = _head(file)
    if head[4:8] == b"ftyp":
        return "AVIF" not in FORMATS or not _brands(head) & {b"avif", b"avis"}
    return head.startswith(b"RIFF") and head[8:12] != b"WEBP"


def describe(head: bytes) -> str:
    """Describe a file that is not read, and what to do, from its first bytes."""
    if not head:
        return "empty"
    for start, words in _STARTS:
        if head.startswith(start):
            return words
    if head[4:8] == b"ftyp":
        found = [words for brand, words in _BRANDS if brand in _brands(head)]
        return found[0] if found else f"{UNKNOWN}: a video"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, words in _TEXTS:
        if text.startswith(start) or (text.startswith(b"<?xml") and start in text):
            return words
    return UNKNOWN


def _head(file: IO[bytes]) -> bytes:
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    return head


def _brands(head: bytes) -> set[bytes]:
    """The major and compatible brands of an ISO media file."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    return {head[8:12], *(head[place : place + 4] for place in range(16, size, 4))}


def _heif(file: IO[bytes]) -> ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise NotAPicture(
            "a HEIC photo; install pillow-heif to read it: pip install 'imagescope-agent[heic]'"
        ) from error
    image: ImageFile = HeifImageFile(file)
    return image

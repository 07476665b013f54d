"""Image files as untrusted input: find them without leaving the folder, decode them without harm."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.role import ImageRef

MAX_PIXELS = 80_000_000  # below Pillow's own alarm; 240 MB as RGB
MAX_SIDE = 1024  # what a model is shown; the original is let go at once
LOSSLESS_PIXELS = 512 * 512  # up to here a picture is handed on as PNG, above as JPEG

# Only what decodes inside Pillow: none of these starts another program or refers to another file.
_WANTED = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
Image.init()
_QUIET = threading.Lock()  # warnings are switched off for the whole process, so one thread at a time may
FORMATS = tuple(name for name in _WANTED if name in Image.OPEN)

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


@dataclass(frozen=True, kw_only=True)
class LoadedImage:
    """A decoded file: RGB, longest side at most `MAX_SIDE`, and the sha256 of the file it came from."""

    image: Image.Image
    key: str

    def ref(self) -> ImageRef:
        """The picture encoded anew for a chat model: nothing of the original file but its pixels goes on."""
        buffer = io.BytesIO()
        if self.image.width * self.image.height <= LOSSLESS_PIXELS:
            self.image.save(buffer, "PNG", compress_level=1)
        else:
            self.image.save(buffer, "JPEG", quality=92, subsampling=0)
        return ImageRef(key=self.key, data=buffer.getvalue())


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A regular file in the folder: relative POSIX path and a stamp that changes when the file may have."""

    id: str
    stamp: str


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something in the folder that is not indexed, and why."""

    id: str
    reason: str


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a file, whatever its name says, to upright RGB at full size; of an animation the first frame.

    Raises:
        ImageProblem: the file is missing, unreadable, empty, no image, broken, or larger than `max_pixels`.
    """
    with _opened(path) as file:
        return _decode(path, file, max_pixels, None)


def load(path: Path, *, max_pixels: int = MAX_PIXELS) -> LoadedImage:
    """Decode a file to what the models are shown (see `LoadedImage`).

    Raises:
        ImageProblem: as `open_image`.
    """
    with _opened(path) as file:
        try:
            key = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
        except OSError as error:
            raise ImageProblem(path, f"unreadable ({error.strerror})") from error
        return LoadedImage(image=_decode(path, file, max_pixels, MAX_SIDE), key=key)


def digest(path: Path) -> str:
    """The sha256 of a file's content, in hex.

    Raises:
        ImageProblem: the file cannot be read.
    """
    with _opened(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ImageProblem(path, f"unreadable ({error.strerror})") from error


def scan(folder: Path, *, ignore: Path | None = None) -> tuple[list[ImageFile], list[Skipped]]:
    """All files below a folder that may be images, and what was left out and why; both by id.

    Hidden files and folders (a leading dot) and the folder `ignore` are passed over silently. A link to a
    file is followed when it stays inside the folder; a link to a folder never is, since what it shows is
    found in its own place, so there are no loops.

    Raises:
        BadInput: `folder` is missing or no folder.
    """
    try:
        if not folder.is_dir():
            raise BadInput(f"there is no folder {str(folder)!r}; give a folder of images")
        root = folder.resolve()
    except OSError as error:
        raise BadInput(f"cannot open {str(folder)!r}: {error.strerror}; give a folder of images") from error
    found: list[ImageFile] = []
    skipped: list[Skipped] = []
    for item in _walk(root, root, ignore.resolve() if ignore else None):
        if isinstance(item, ImageFile):
            found.append(item)
        else:
            skipped.append(item)
    return sorted(found, key=lambda f: f.id), sorted(skipped, key=lambda s: s.id)


def inside(folder: Path, name: str) -> Path:
    """The real path of the file `name` in the folder, every link followed.

    Raises:
        ImageProblem: the name leads outside the folder, or nowhere.
    """
    root = folder.resolve()
    try:
        target = (root / name).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        mend = "index the folder again"
        raise ImageProblem(name, f"it is no longer in {str(folder)!r}", mend=mend) from error
    if not target.is_relative_to(root) or target == root:
        raise ImageProblem(name, f"it lies outside {str(folder)!r}", mend="use an id of the collection")
    return target


def _walk(root: Path, folder: Path, ignore: Path | None) -> Iterator[ImageFile | Skipped]:
    pending = [folder]
    while pending:
        here = pending.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            yield Skipped(id=_printable(here.relative_to(root)), reason=f"unreadable ({error.strerror})")
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or path == ignore:
                continue
            if not entry.is_symlink() and entry.is_dir(follow_symlinks=False):
                pending.append(path)
            else:
                yield _look(root, path)


def _look(root: Path, path: Path) -> ImageFile | Skipped:
    name = _printable(path.relative_to(root))
    try:
        path.name.encode("utf-8")
        str(path.relative_to(root)).encode("utf-8")
        target = path.resolve(strict=True)
        status = target.stat()
    except UnicodeEncodeError:
        return Skipped(id=name, reason="its name is not valid UTF-8")
    except RuntimeError:  # pathlib's word for a loop of links before Python 3.13
        return Skipped(id=name, reason="a link that leads nowhere")
    except OSError as error:
        reason = "a link that leads nowhere" if path.is_symlink() else f"unreadable ({error.strerror})"
        return Skipped(id=name, reason=reason)
    if not target.is_relative_to(root):
        return Skipped(id=name, reason="a link to outside the folder")
    if target.is_dir():
        return Skipped(id=name, reason="a link to a folder")
    if not target.is_file():
        return Skipped(id=name, reason="not a regular file")
    return ImageFile(id=name, stamp=stamp(status))


def stamp(status: os.stat_result) -> str:
    """Changes when the file may have: the change time catches one rewritten with its old size and date."""
    return f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _printable(relative: Path) -> str:
    return relative.as_posix().encode("utf-8", "backslashreplace").decode("utf-8")


def _opened(path: Path) -> io.BufferedReader:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise ImageProblem(path, "there is no such file")
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageProblem(path, f"unreadable ({reason})") from error


def _decode(path: Path, file: io.BufferedReader, max_pixels: int, max_side: int | None) -> Image.Image:
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(file, formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise ImageProblem(path, f"{width} x {height} pixels are too many (limit {max_pixels})")
                if max_side is not None:
                    image.draft(None, (max_side, max_side))  # JPEG only: decode no larger than needed
                image.load()
                return _shown(image, max_side)
        except ImageProblem:
            raise
        except UnidentifiedImageError as error:
            empty = path.stat().st_size == 0
            raise ImageProblem(path, "empty" if empty else "not an image in a known format") from error
        except Image.DecompressionBombError as error:
            raise ImageProblem(path, f"too many pixels (limit {max_pixels})") from error
        except Exception as error:  # a decoder fed with hostile bytes may raise anything
            raise ImageProblem(path, f"broken ({type(error).__name__})") from error


def _shown(image: Image.Image, max_side: int | None) -> Image.Image:
    """Upright RGB on white, fitted into `max_side`."""
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    flat = _eight_bit(image)
    if max_side is not None and max(flat.size) > max_side:
        scale = max_side / max(flat.size)
        size = (max(1, round(flat.width * scale)), max(1, round(flat.height * scale)))
        flat = flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    if flat.mode == "RGBA":
        flat = Image.alpha_composite(Image.new("RGBA", flat.size, "white"), flat)
    flat = flat.convert("RGB")
    flat.info = {}
    return flat if turn is None else flat.transpose(turn)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Transparency as RGBA, palettes opened out, 16-bit, integer and float samples brought to 0..255."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):  # the range is the writer's own: stretch what is there
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        scaled = (values - low) * (255.0 / (high - low)) if high > low else np.zeros_like(values)
        return Image.fromarray(scaled.round().astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode == "L" else image.convert("RGB")

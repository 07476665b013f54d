"""What an image file says of itself: its size, and in its EXIF data the date, the camera and the place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from imagescope_agent.retrieval.imaging.formats import open_lazily, quiet
from imagescope_agent.retrieval.metadata.kinds import Kind, Value, kind_of, period

#: What is read of a file, by name of the field.
FIELDS: dict[str, Kind] = {
    "width": "number",
    "height": "number",
    "bytes": "number",
    "date": "date",
    "camera": "text",
    "lat": "number",
    "lon": "number",
}
MEASURES = ("width", "height", "bytes")  # every image has them
_SIDEWAYS = range(5, 9)  # EXIF orientations that swap width and height
_STAMP = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)\0*", re.ASCII)
_DATES = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)
_CIRCLE = {"lat": 90.0, "lon": 180.0}


def read_file_fields(path: Path) -> dict[str, Value]:
    """The fields of one image file that it has; nothing is decoded.

    Width and height are of the image as a viewer shows it. What is damaged is missing: it is no reason not to find
    the image.

    Raises:
        OSError: the file is gone or cannot be read.
    """
    found: dict[str, Value] = {"bytes": float(path.stat().st_size)}
    with path.open("rb") as file, quiet():
        try:
            image = open_lazily(file)
            width, height = image.size
            exif = Image.Image.getexif(image)  # the PNG reader's own decodes all of the image first
            turned = exif.get(ExifTags.Base.Orientation) in _SIDEWAYS
            size = (height, width) if turned else (width, height)
            found |= {"width": float(size[0]), "height": float(size[1])}
            found |= _of_exif(exif)
        except Exception:  # noqa: BLE001 -- a parser fed with hostile bytes may raise anything
            return found
    return found


def whole_fields(kept: Any) -> dict[str, Value] | None:
    """Fields as they were kept; None where anything else is there now."""
    if not isinstance(kept, dict):
        return None
    types: dict[Kind, type] = {"number": float, "date": int, "text": str}
    whole = all(name in FIELDS and type(value) is types[FIELDS[name]] for name, value in kept.items())
    return kept if whole else None


def _of_exif(exif: Image.Exif) -> dict[str, Value]:
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    stamps = (*(inner.get(tag) for tag in _DATES), exif.get(ExifTags.Base.DateTime))
    taken = next((date for stamp in stamps if (date := _date(stamp)) is not None), None)
    place = _place(exif.get_ifd(ExifTags.IFD.GPSInfo))
    camera = _camera(exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model))
    told: dict[str, Value | None] = {"date": taken, "camera": camera, **place}
    return {name: value for name, value in told.items() if value is not None}


def _date(stamp: Any) -> int | None:
    """Microseconds since 1970 on the camera's clock; a camera whose clock was never set writes zeros."""
    match = _STAMP.fullmatch(stamp) if isinstance(stamp, str) else None
    found = period(f"{match[1]}-{match[2]}-{match[3]}T{match[4]}") if match else None
    return found[0] if found else None


def _camera(make: Any, model: Any) -> str | None:
    """Maker and model, the maker once: many models begin with it."""
    words = [each.strip("\0 ") if isinstance(each, str) else "" for each in (make, model)]
    named = words[1] if words[1].lower().startswith(words[0].lower()) else " ".join(words)
    found = kind_of(named.strip()[:200])
    return str(found[1]) if found and found[0] == "text" and found[1] else None


def _place(gps: Mapping[int, Any]) -> dict[str, Value]:
    """Degrees north and east, only both together."""
    found: dict[str, Value] = {}
    tags = {
        "lat": (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S"),
        "lon": (ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W"),
    }
    for name, (value, side, negative) in tags.items():
        try:
            degrees, minutes, seconds = (float(part) for part in gps[value])
            angle = degrees + minutes / 60 + seconds / 3600
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return {}
        if not 0 <= angle <= _CIRCLE[name]:  # never for NaN
            return {}
        found[name] = -angle if str(gps.get(side, "")).upper().startswith(negative) else angle
    return found

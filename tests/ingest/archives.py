"""Small pictures and archives of them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from PIL import Image

from imagescope_agent.ingest.sources import STATE, FetchReport


def png(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 48), colour).save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {"red.png": png("red"), "sub/blue é.png": png("blue")}


def found(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != STATE)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def counts(report: FetchReport) -> tuple[int, int, int]:
    return report.fetched, report.unchanged, report.removed


def zipped(file: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file

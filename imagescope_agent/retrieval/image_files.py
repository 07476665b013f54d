"""The image files of a folder that an index is made of, and what is left out."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.images import ImageFile, Skipped, scan
from imagescope_agent.retrieval.index import manifest


def find_images(
    folder: Path, out: Path | None, only: Container[str] | None = None, exclude: Sequence[str] = ()
) -> tuple[list[ImageFile], list[Skipped]]:
    """The files that would be indexed and what is left out, by id; arguments as in `indexer.build`.

    Raises:
        BadInput: no folder, or nothing in it that could be an image.
    """
    place = out if out is not None else folder / manifest.FOLDER_INDEX
    found, skipped = scan(folder, ignore=place, exclude=exclude)
    if only is not None:
        found = [item for item in found if item.id in only]
        skipped = [item for item in skipped if item.id in only]
    if not found:
        raise no_images(folder, skipped)
    return found, skipped


def no_images(folder: Path, skipped: Sequence[Skipped]) -> BadInput:
    """The error for a folder in which nothing can be indexed."""
    seen = f" ({len(skipped)} files skipped, {skipped[0].id!r}: {skipped[0].reason})" if skipped else ""
    return BadInput(f"there is no image in {str(folder)!r}{seen}; give a folder of png, jpg, webp, ... files")

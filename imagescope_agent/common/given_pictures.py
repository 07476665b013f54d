"""The pictures of a query as its caller gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imagescope_agent.errors import BadInput

Pictures = Sequence[Path | str]  # ids and files


def picture_names(given: Pictures | Path | str) -> list[str]:
    """Ids and files as text; one that is given alone is the only one."""
    return [str(each) for each in ([given] if isinstance(given, str | Path) else given)]


def one_or_several(image: Path | str | None, images: Pictures) -> tuple[str | None, list[str]]:
    """The reference of a query, or its several references; one that is given as a list is the only one.

    Raises:
        BadInput: both are given, or `images` is no list.
    """
    if isinstance(images, str | Path):
        raise BadInput(f"images is {str(images)!r}; give a list, or one as image")
    given = [str(each) for each in images]
    if image is not None and given:
        raise BadInput("image and images are both given; give all references as images")
    if len(given) > 1:
        return None, given
    return (str(image) if image is not None else next(iter(given), None)), []

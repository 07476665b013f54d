"""Which profile indexes a folder when its user names none: the one that made its index, else the one that knows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imagescope_agent.errors import BadInput, MissingExtra
from imagescope_agent.profiles import PROFILES
from imagescope_agent.profiles.profile import load_profile
from imagescope_agent.retrieval.domain import OUTSIDE
from imagescope_agent.retrieval.images import ImageFile, ImageProblem, load
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.services import DEFAULT_PROFILE, open_embedder_of, profile_of

EMBEDDED = ("mini", "photos")  # in this order
LOOKED_AT = 12  # pictures of a folder


def choose_profile(folder: Path, place: Path, found: list[ImageFile]) -> str:
    """The profile for a folder.

    Args:
        folder: of the pictures.
        place: of its index, if it has one.
        found: its pictures.

    Raises:
        BadInput: another profile than one that ships made its index; the user has to name that.
    """
    if _made_by(place) is not None:
        return profile_of(place)
    step = max(1, len(found) // LOOKED_AT)
    pictures = []
    for item in found[::step]:
        try:
            pictures.append(load(folder / item.id).image)
        except ImageProblem:  # the indexer says so
            continue
    for name in EMBEDDED if pictures else ():
        embedder = open_embedder_of(load_profile(name))
        try:
            domain = embedder.domain
            if domain is not None and domain.outside(np.asarray(embedder.images(pictures))) <= OUTSIDE:
                return name
        except MissingExtra:  # what is not installed cannot be chosen; the search says what would suit
            continue
    return DEFAULT_PROFILE


def require_same_profile(place: Path, name: str) -> None:
    """Make sure that an index is not made anew by other models unasked.

    Raises:
        BadInput: another profile made it.
    """
    made_by = _made_by(place)
    if made_by and made_by != name:
        raise BadInput(
            f"the index in {str(place)!r} was made with the profile {made_by!r}, not {name!r}; "
            "add --change-profile to caption and embed everything anew, or leave out --profile"
        )


def stored_name(name: str) -> str:
    """A profile as an index names it: a name of the table, or that of a file without its path, which is private."""
    return name if name in PROFILES else Path(name).name


def _made_by(place: Path) -> str | None:
    """The profile in an index; "" where it is kept elsewhere, None where no index can be read."""
    if not (place / manifest.MANIFEST).exists():
        return None
    try:
        return manifest.read(place).profile
    except BadInput:  # damaged: it is made anew in any case
        return None

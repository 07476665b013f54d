"""Finding a run, or a store of traces, without being told where it is."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import local_path
from imagescope_agent.errors import BadInput
from imagescope_agent.runs.checkpoints import POSTGRES
from imagescope_agent.traces.database import DatabaseTraces
from imagescope_agent.traces.known_places import known_places
from imagescope_agent.traces.store import FILE, OFF, VARIABLE, TraceStore


def open_existing(place: Path | str, scope: str | None = None) -> TraceStore | DatabaseTraces:
    """The store in a file, of an indexed folder, or in a database.

    Raises:
        BadInput: there is none.
    """
    if str(place).startswith(POSTGRES):
        return DatabaseTraces(str(place), scope, reading=True)
    path = Path(place)
    for candidate in (path, path / FILE, path / ".imagescope" / FILE):
        if candidate.is_file():
            return TraceStore(candidate, reading=True)
    raise BadInput(f"there are no traces in {str(path)!r}; search first, or name another place with --store")


def find_run(
    run: str | None, place: Path | str | None = None, *, scope: str | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """As `TraceStore.read`, in the given place, else in IMAGESCOPE_TRACES, else wherever this user's traces are.

    Raises:
        BadInput: there is no such run.
    """
    named = place or _configured()
    places: list[Path | str] = [named] if named else [*known_places()] or [default_place()]
    for each in places:
        with closing(open_existing(each, scope)) as store:
            if run is None or len(places) == 1 or store.holds(run):
                return store.read(run)
    raise BadInput(f"there is no run {run!r} in {len(places)} stores of traces; see `imagescope trace`")


def default_place() -> Path | str:
    """The file to look for traces in when none is named: IMAGESCOPE_TRACES, else where they were written last.

    Raises:
        BadInput: nothing was ever written.
    """
    found = _configured() or next(iter(known_places()), None)
    if found is None:
        raise BadInput("no traces are known here; search first, or name the collection with --store")
    return found


def _configured() -> Path | str | None:
    named = os.environ.get(VARIABLE, "")
    if named.startswith(POSTGRES):
        return named
    return None if not named or named.lower() in OFF else local_path(os.path.expanduser(named))

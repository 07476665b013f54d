"""Attach a recorder to a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from imagescope_agent.errors import BadInput
from imagescope_agent.settings import Settings
from imagescope_agent.traces.record import Recorder
from imagescope_agent.traces.store import TraceStore, remember

if TYPE_CHECKING:
    from imagescope_agent.services import Services

_log = logging.getLogger(__name__)


@contextmanager
def recording(path: Path | None, services: Services, settings: Settings) -> Iterator[list[Recorder]]:
    """The callbacks of a run: a recorder that writes to `path`, none when that is None or cannot be written.

    Works with any graph: `graph.ainvoke(query, {"callbacks": recorders}, context=settings)`.
    """
    if path is None:
        yield []
        return
    try:
        store = TraceStore(path)
    except BadInput as error:
        _log.warning("%s", error)  # a search is worth more than its trace
        yield []
        return
    remember(path)
    collection = services.collection
    about = {
        "profile": services.profile,
        "settings": settings.to_dict(),
        "folder": str(collection.folder),
        "weights": services.weights,
    }
    try:
        yield [Recorder(store, about=about, name_of=collection.id_of)]
    finally:
        store.close()

"""Attach a recorder to a run, or to a graph for all its runs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.records import NoteDict, note
from imagescope_agent.retrieval.images import ImageProblem, digest
from imagescope_agent.retrieval.protocols import Collection
from imagescope_agent.runs.run_store import scope_of
from imagescope_agent.services import Services, serve_from_environment
from imagescope_agent.settings import Settings
from imagescope_agent.traces.open_store import OpenStore
from imagescope_agent.traces.record import Recorder
from imagescope_agent.traces.store import OFF, place

SPANS = "IMAGESCOPE_OTEL"
Graph = CompiledStateGraph[Any, Any, Any, Any]

_log = logging.getLogger(__name__)


class Unrecorded(BaseCallbackHandler):
    """In place of a recorder whose store cannot be opened: notes why there is no trace."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def notes(self) -> list[NoteDict]:
        """A note that there is no trace."""
        return [note("trace", "skipped", f"there is no trace: {self.problem}")]


@asynccontextmanager
async def recording(
    path: Path | str | None, services: Services, settings: Settings, store: OpenStore | None = None
) -> AsyncIterator[list[Recorder | Unrecorded]]:
    """The callbacks of a run: a recorder that writes to `path`, one that makes spans where IMAGESCOPE_OTEL is set.

    Works with any graph: `graph.ainvoke(query, {"callbacks": recorders}, context=settings)`. A store that cannot be
    written costs the trace, not the run: `notes()` says so. It is closed at the end, unless `store` keeps it open.
    It is opened in a thread: a database that is silent does not stop the event loop. An open file is used as it is.
    """
    about, names = partial(_about, services, settings), _names(services.collection)
    recorders: list[Recorder | Unrecorded] = list(_spans(about))
    if path is not None:
        try:
            kept = store or OpenStore()
            if (opened := kept.known(path)) is None:
                scope = scope_of(services.collection.location)
                opened = await asyncio.to_thread(kept.open, path, scope)
            recorders.append(Recorder(opened, about=about, **names))
        except (BadInput, BackendUnavailable) as error:
            _log.warning("%s", error)  # a search is worth more than its trace
            recorders.append(Unrecorded(str(error)))
    yield recorders


def traced(graph: Graph, services: Services, path: Path | str | None = None) -> Graph:
    """The graph with recorders of its own: for a graph server or a script.

    Args:
        graph: as `build(services)` gives it.
        services: what it was built with.
        path: file of the traces; None as everywhere else (see `store.place`).

    Raises:
        BadInput: traces are wanted and the file cannot be written.
    """
    about, names = partial(_about, services, None), _names(services.collection)
    recorders = _spans(about)
    if (file := place(services.collection.location, path)) is not None:
        opened = OpenStore().open(file, scope_of(services.collection.location))
        recorders.append(Recorder(opened, about=about, **names))
    return graph.with_config({"callbacks": [*recorders]}) if recorders else graph


async def served(build: Callable[..., Graph]) -> Graph:
    """A graph for a graph server, over the collection that the environment names, with its runs recorded.

    It is opened in a thread: a server calls its factories in its event loop.

    Raises:
        BadInput: no collection is named, it cannot be opened, or traces are wanted and cannot be written.
    """

    def opened() -> Graph:
        services = serve_from_environment()
        return traced(build(services), services)

    return await asyncio.to_thread(opened)


def _names(collection: Collection) -> dict[str, Callable[[str], str]]:
    """`name_of` and `key_of` of a `Recorder` for a collection."""

    def key_of(name: str) -> str:
        if name in collection:
            return collection.key(name)
        try:
            return digest(Path(name)) if collection.takes_files else ""
        except ImageProblem:
            return ""

    return {"name_of": collection.id_of, "key_of": key_of}


def _about(services: Services, settings: Settings | None) -> Mapping[str, Any]:
    return {
        "profile": services.profile,
        "settings": (settings or Settings.load(services.settings)).to_dict(),
        "folder": str(services.collection.folder),
        "weights": services.weights,
    }


def _spans(about: Any) -> list[Recorder]:
    if os.environ.get(SPANS, "off").lower() in OFF:
        return []
    from imagescope_agent.traces.otel import SpanExporter

    return [Recorder(SpanExporter(), about=about)]

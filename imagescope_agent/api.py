"""Search an indexed folder from Python; the commands call this."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from imagescope_agent.common.given_pictures import Pictures, one_or_several, picture_names
from imagescope_agent.common.untrusted import beside, local_path
from imagescope_agent.errors import BadInput
from imagescope_agent.indexing import index_folder
from imagescope_agent.integrations.langchain import ImageRetriever, as_node, as_tool
from imagescope_agent.judges import JUDGES, OWN_JUDGE
from imagescope_agent.records import NoteDict, note
from imagescope_agent.registry import load_graph, resolve
from imagescope_agent.runs.checkpoints import FILE, POSTGRES, reading
from imagescope_agent.runs.gone import StoreGone
from imagescope_agent.runs.results import SearchResult, to_result
from imagescope_agent.runs.run_graph import Progress, judge_of, run_config, run_sync, streamed
from imagescope_agent.runs.run_store import open_runs
from imagescope_agent.services import Services, open_services, profile_of
from imagescope_agent.settings import Settings
from imagescope_agent.traces.instrument import recording
from imagescope_agent.traces.open_store import OpenStore
from imagescope_agent.traces.store import VARIABLE, place

__all__ = ["ImageScope", "index_folder"]

RUNS_VARIABLE = "IMAGESCOPE_RUNS"
# seconds in which a database that was restarted may be back
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class ImageScope:
    """A collection, a graph and the models behind it; made by `ImageScope.open`.

    Args:
        services: what the graph is built with.
        graph: a name of `imagescope graphs`, or "module:attribute"; None for the profile's own.
        runs: SQLite file of the checkpoints, or a "postgresql://..." URL, which other processes and collections may
            share; None is IMAGESCOPE_RUNS, else runs.sqlite beside the index; False: none.
        traces: SQLite file of the traces, or such a URL; None is IMAGESCOPE_TRACES ("off" for none), else
            traces.sqlite beside the index where checkpoints are kept; False keeps none.
        settings: defaults for every search.

    Attributes:
        traces: where the traces go, None when they are off.

    Raises:
        BadInput: an unknown graph, judge or setting.
    """

    def __init__(
        self,
        services: Services,
        *,
        graph: str | None = None,
        runs: Path | str | bool | None = None,
        traces: Path | str | bool | None = None,
        **settings: Any,
    ) -> None:
        self.services, self.graph = services, graph or services.graph
        load_graph(self.graph)
        self._given = settings
        self._settings({})
        named = os.environ.get(RUNS_VARIABLE) if runs is None or isinstance(runs, bool) else runs
        location = services.collection.location
        kept: Path | str | None = None if runs is False else beside(location, FILE)
        if named and runs is not False:
            url = str(named).startswith(POSTGRES)
            kept = str(named) if url else local_path(os.path.expanduser(named))
        # a search without checkpoints is better than none, unless its user named a place for them
        self._runs = open_runs(kept, location, required=bool(named))
        unwanted = runs is False and traces is None and not os.environ.get(VARIABLE)
        self._trace_store = OpenStore()
        self._copy: tuple[BaseCheckpointSaver[Any] | None, CompiledStateGraph[Any, Any, Any, Any] | None]
        self._copy = None, None  # the last that `_kept_in` made
        self.traces = None if unwanted else place(services.collection.location, traces)

    @classmethod
    def open(
        cls, folder: Path | str, profile: str | None = None, graph: str | None = None, **options: Any
    ) -> ImageScope:
        """Open an indexed folder; weights are read at the first search.

        Args:
            folder: the indexed folder, or the index where it lies elsewhere.
            profile: which models; None for those that made the index.
            graph: which system; None for the profile's own.
            options: `runs`, `traces`, and fields of `Settings`.

        Raises:
            BadInput: nothing is indexed there, or an unknown profile, graph, judge or setting.
        """
        if graph is not None:
            load_graph(graph)  # a misspelt name is told before anything is opened
        return cls(open_services(profile or profile_of(folder), folder), graph=graph, **options)

    def search(
        self, text: str, image: Path | str | None = None, k: int | None = None, **settings: Any
    ) -> SearchResult:
        """Rank the collection's images for a text, or for reference images and what to make of them.

        Args:
            text: what to look for, at most 8,000 characters.
            image: reference: an id of the collection, or a file.
            images, unlike: as in `asearch`.
            k: how many results; 10 unless the settings say otherwise.
            settings: fields of `Settings`, for this search only; and `rejected`, ids that were shown before and are
                not it, for a graph that takes them (cotrr).

        Raises:
            BadInput: an unusable text, reference or setting.
            BackendUnavailable: a model does not answer; `resume` goes on from where the run stopped.
        """
        return run_sync(self.asearch(text, image=image, k=k, **settings))

    async def asearch(
        self,
        text: str,
        image: Path | str | None = None,
        k: int | None = None,
        *,
        run: str | None = None,
        images: Pictures = (),
        unlike: Pictures = (),
        rejected: Sequence[str] = (),
        progress: Progress | None = None,
        **settings: Any,
    ) -> SearchResult:
        """As `search`, inside an event loop; `run` is the id to keep it under, a new one when None.

        Args:
            text: as in `search`.
            image: as in `search`.
            k: as in `search`.
            images: several references in the place of one, which the text names by their numbers from 1 ("the sofa
                of image 1 in the colour of image 2") or by role.
            unlike: ids and files of what is not wanted; what looks like them falls back (`Settings.penalty`).
            run: the id to keep the run under.
            rejected: as in `search`.
            progress: called with the name of each step and what it changed in the state, when it is done.
            settings: as in `search`.
        """
        chosen = self._settings(settings if k is None else {**settings, "k": k})
        first, several = one_or_several(image, images)
        query: dict[str, Any] = {"query": text, "reference": first}
        if several:
            query["references"] = several
        if unlike:
            query["unlike"] = picture_names(unlike)
        if rejected:
            query["rejected"] = self._rejected(rejected)
        return await self._run(query, run or uuid.uuid4().hex, chosen, progress)

    def as_retriever(self, **settings: Any) -> ImageRetriever:
        """The collection as a LangChain retriever: documents with caption, id, path, scores and reasons."""
        return ImageRetriever(scope=self, settings=settings)

    def as_tool(self, **options: Any) -> BaseTool:
        """The collection as a LangChain tool; options as in `integrations.langchain.as_tool`."""
        return as_tool(self, **options)

    def as_node(self, **options: Any) -> Callable[[Any], Awaitable[dict[str, Any]]]:
        """The search as a node of another LangGraph; options as in `integrations.langchain.as_node`."""
        return as_node(self, **options)

    @cached_property
    def compiled(self) -> CompiledStateGraph[Any, Any, Any, Any]:
        """The graph, compiled once; it holds no state of a run and belongs to no event loop."""
        return load_graph(self.graph)(self.services)  # type: ignore[no-any-return]

    def _rejected(self, ids: Sequence[str]) -> list[str]:
        if "rejected" not in self.compiled.get_input_jsonschema()["properties"]:
            raise BadInput(
                f"the graph {self.graph!r} takes no rejected images; choose 'cotrr' or a conversation"
            )
        return [ids] if isinstance(ids, str) else list(ids)

    def resume(self, run: str) -> SearchResult:
        """Finish a search that was cut off, its finished steps not repeated; of a finished one the result.

        Raises:
            BadInput: no such run is kept here, or another graph made it.
        """
        return run_sync(self.aresume(run))

    async def aresume(self, run: str) -> SearchResult:
        """As `resume`, for use inside an event loop."""
        kept = await self._runs.find(run)
        with reading(self._runs.place or run):
            metadata: Mapping[str, Any] = kept.metadata
            for name, ours in (("graph", self.graph), ("profile", self.services.profile)):
                if (made_by := metadata.get(name)) != ours:
                    raise BadInput(
                        f"run {run!r} belongs to the {name} {made_by!r}; open the collection with that"
                    )
            judges = {*JUDGES, self._settings({}).judge or OWN_JUDGE}
            return await self._run(None, run, Settings.from_record(metadata.get("settings"), judges=judges))

    async def afind(self, run: str) -> tuple[str, bool]:
        """The graph of a kept run of any graph, and whether it is finished; no model is asked.

        Raises:
            BadInput: no such run is kept here.
        """
        kept = await self._runs.find(run)
        with reading(self._runs.place or run):
            values = kept.checkpoint["channel_values"]
            unmatched = any(each["kind"] == "unmatched" for each in values.get("notes", ()))
            return str(kept.metadata.get("graph")), bool(values.get("results")) or unmatched

    async def _run(
        self, query: dict[str, Any] | None, run: str, settings: Settings, progress: Progress | None = None
    ) -> SearchResult:
        self.services.collection.require_weights(self.services.embedder.weights)  # before any model is asked
        plain = settings.to_dict()
        config = run_config(run, graph=self.graph, profile=self.services.profile, settings=json.dumps(plain))
        async with recording(self.traces, self.services, settings, self._trace_store) as recorders:
            config["callbacks"] = [*recorders]
            state, problem = await self._to_its_end(query, config, settings, progress)
        notes: list[NoteDict] = []
        if problem:
            notes.append(note("run", "skipped", f"the run is not kept: {problem}"))
        notes += [each for recorder in recorders for each in recorder.notes()]
        state = {**state, "notes": [*state["notes"], *notes]}
        collection = self.services.collection
        return to_result(
            state,
            paths={hit["id"]: os.path.join(collection.folder, hit["id"]) for hit in state["results"]},
            graph=self.graph,
            judge=judge_of(self.compiled, settings),
            profile=self.services.profile,
            run=run,
            settings=plain,
            weights=self.services.weights,
        )

    async def _to_its_end(
        self,
        query: dict[str, Any] | None,
        config: RunnableConfig,
        settings: Settings,
        progress: Progress | None,
    ) -> tuple[dict[str, Any], str]:
        """The state of a run at its end, and why it is not kept where it is not.

        Where the database of its checkpoints went away, it goes on from the last of them once that is back.
        """
        run, before, begun = str(config["configurable"]["thread_id"]), None, False
        for pause in (*_PAUSES, None):
            try:
                async with self._runs.keeping(run) as (saver, problem):
                    graph, options = self._kept_in(saver), dict[str, Any]()
                    if saver is not None:
                        # "sync": the result of a step is on disk before the next one starts, so a kill loses one step
                        options = {"durability": "sync"}
                    if saver is not None and self._runs.may_come_back:
                        last = await saver.aget_tuple(config)
                        known = None if last is None else last.checkpoint["id"]
                        before = before if begun else known
                        query = query if known == before else None  # its first step is kept
                        begun = True
                    state = await streamed(graph, query, config, progress, context=settings, **options)
                    return state, problem
            except StoreGone:
                if pause is None or not begun:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last pause ends the loop")

    def _kept_in(self, saver: BaseCheckpointSaver[Any] | None) -> CompiledStateGraph[Any, Any, Any, Any]:
        """The graph that writes its checkpoints there; it shares the nodes, and concurrent runs do not meet."""
        if saver is None:
            return self.compiled
        known, graph = self._copy  # read at once, for other threads
        if known is not saver or graph is None:
            graph = self.compiled.copy({"checkpointer": saver})
            self._copy = saver, graph
        return graph

    def _settings(self, given: dict[str, Any]) -> Settings:
        settings = Settings.load(self.services.settings, **{**self._given, **given})
        if settings.judge is not None:
            resolve(settings.judge, JUDGES, kind="judge")
        return settings

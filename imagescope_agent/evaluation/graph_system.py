"""Adapter that evaluates our graphs: one opened collection for each gallery, official image ids in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.chat.session_adapter import CONVERSATIONAL_GRAPHS, SessionAdapter
from imagescope_agent.evaluation.datasets.base import Benchmark, BenchmarkQuery, Gallery
from imagescope_agent.evaluation.runner import SystemAnswer
from imagescope_agent.registry import load_graph
from imagescope_agent.runs.results import total
from imagescope_agent.settings import Settings

#: Stages whose ranking is scored where the graph has a node of that name; "final" is the ranking that is returned.
STAGES = ("retrieve", "verify", "judge")
#: Ranking after each stage (paths), notes, usage, and what a search states about its first place.
StageRankings = tuple[
    Mapping[str, Sequence[str]], Sequence[Mapping[str, str]], dict[str, Any], Mapping[str, Any]
]


def open_system(
    benchmark: Benchmark,
    galleries: Mapping[str, Gallery],
    *,
    graph: str,
    profile: str,
    settings: Mapping[str, Any],
    indexed: bool = False,
    **engine: Any,
) -> GraphSystem:
    """Index the galleries where that is not done yet and open a graph on each.

    With `indexed` the galleries are indexed already; `engine` are `engine` and `address` of `index_folder`.

    Raises:
        BadInput: unknown graph, profile or setting, or an image of a gallery that cannot be indexed.
    """
    from imagescope_agent.api import ImageScope, index_folder

    load_graph(graph)  # a misspelt name fails before hours of indexing
    chosen = {"keep_reference": not benchmark.drop_reference, **settings}
    if graph in CONVERSATIONAL_GRAPHS:
        chosen["clarify"] = "never"  # nobody answers questions
    scopes = {}
    for name, gallery in galleries.items():
        if not indexed:  # a measurement names its models
            files = frozenset(gallery.files.values())
            place = {"profile": profile, "out": gallery.index}
            index_folder(gallery.folder, **place, only=files, change_profile=True, **engine)  # type: ignore[arg-type]
        scope = ImageScope.open(gallery.index, profile=profile, graph=graph, runs=False, **chosen)
        _require_all(gallery, scope)
        scopes[name] = scope
    return GraphSystem(benchmark, galleries, scopes, chosen)


class GraphSystem:
    """Sends each query to the graph that was opened on its gallery.

    Args:
        benchmark: says how deep a ranking must be.
        galleries: official id -> path.
        scopes: an opened `ImageScope` for each gallery.
        settings: what they were opened with.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        galleries: Mapping[str, Gallery],
        scopes: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self._galleries, self._scopes = galleries, scopes
        for scope in scopes.values():
            scope.services.collection.merges_copies = False  # a protocol counts files
        self._ids = {
            name: {path: image for image, path in gallery.files.items()}
            for name, gallery in galleries.items()
        }
        self._depth = {name: benchmark.depth or len(gallery.files) for name, gallery in galleries.items()}
        from imagescope_agent.runs.run_graph import judge_of

        first = next(iter(scopes.values()))
        self._stages = [stage for stage in STAGES if stage in first.compiled.nodes]
        chosen = Settings.load(first.services.settings, **settings)
        self.identity = {
            "judge": judge_of(first.compiled, chosen),
            "settings": {name: value for name, value in chosen.to_dict().items() if name != "k"},
            "weights": dict(first.services.weights),
        }
        self._sessions: SessionAdapter | None = None
        if any(query.group for query in benchmark.queries):
            conversational = first.graph in CONVERSATIONAL_GRAPHS
            self.identity["dialogs"] = (
                "turns of a conversation" if conversational else "rounds joined into one text"
            )
            self._sessions = self._open_sessions(benchmark, settings) if conversational else None

    async def answer(self, query: BenchmarkQuery) -> SystemAnswer:
        """Rank the gallery; the result's rankings become official ids.

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: this query failed.
        """
        ask = self._turn if self._sessions and query.group else self._search
        rankings, notes, usage, stated = await ask(query)
        ids = self._ids[query.gallery]

        def official(ranking: Sequence[str]) -> list[str]:
            return [ids[path] for path in ranking if ids[path] not in query.copies]

        return SystemAnswer(
            stages={stage: official(rankings[stage]) for stage in (*self._stages, "final")},
            notes=[dict(note) for note in notes],
            usage=usage,
            **stated,
        )

    async def _search(self, query: BenchmarkQuery) -> StageRankings:
        gallery, depth = self._galleries[query.gallery], self._depth[query.gallery]
        references = [
            str(gallery.folder / gallery.outside[name]) if name in gallery.outside else gallery.files[name]
            for name in query.shown
        ]
        result = await self._scopes[query.gallery].asearch(query.text, images=references, k=depth)
        stated = {"fulfilment": result.fulfilment, "accepted": not result.remarks}
        return {"judge": result.rankings["final"], **result.rankings}, result.notes, result.usage, stated

    async def _turn(self, query: BenchmarkQuery) -> StageRankings:
        assert self._sessions is not None
        state = await self._sessions.state(query)
        rankings = {
            "retrieve": state["ranking_retrieve"],
            "verify": state["ranking_verify"] or state["ranking_retrieve"],
            **dict.fromkeys(("judge", "final"), state["ranking"]),
        }
        return rankings, state["notes"], total(state["usage"]), {}

    def _open_sessions(self, benchmark: Benchmark, settings: Mapping[str, Any]) -> SessionAdapter:
        services = {name: scope.services for name, scope in self._scopes.items()}
        chosen = {
            name: Settings.load(each.settings, **{**settings, "k": self._depth[name]})
            for name, each in services.items()
        }
        graph = next(iter(self._scopes.values())).graph
        return SessionAdapter(graph, services, chosen, benchmark.queries)


def _require_all(gallery: Gallery, scope: Any) -> None:
    """Check that the index holds the whole gallery; a smaller one would make every score too good.

    Raises:
        BadInput: an image is not in it.
    """
    if absent := set(gallery.files.values()) - set(scope.services.collection.ids):
        raise BadInput(
            f"{gallery.folder / min(absent)}: cannot be indexed, as {len(absent) - 1} more of "
            f"{len(gallery.files)} images; obtain it again, the gallery must be complete"
        )

"""Our own graphs as systems to evaluate: one opened collection a gallery, official ids in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imagescope_agent.errors import BadInput
from imagescope_agent.evaluation.datasets.base import Benchmark, Gallery, Query
from imagescope_agent.evaluation.runner import Answer
from imagescope_agent.registry import load_graph
from imagescope_agent.settings import Settings

#: Stages a ranking goes through, where the graph has a node of that name; "final" is what the user gets.
STAGES = ("retrieve", "verify", "judge")


def open_system(
    benchmark: Benchmark,
    galleries: Mapping[str, Gallery],
    *,
    graph: str,
    profile: str,
    settings: Mapping[str, Any],
) -> GraphSystem:
    """Index the galleries where that is not done yet and open a graph on each.

    Raises:
        BadInput: unknown graph, profile or setting, or an image of a gallery that cannot be indexed.
    """
    from imagescope_agent.api import ImageScope, index_folder

    load_graph(graph)  # a misspelt name is told before hours of indexing
    chosen = {"keep_reference": not benchmark.drop_reference, **settings}
    scopes = {}
    for name, gallery in galleries.items():
        index_folder(
            gallery.folder, profile=profile, out=gallery.index, only=frozenset(gallery.files.values())
        )
        scope = ImageScope.open(gallery.index, profile=profile, graph=graph, runs=False, **chosen)
        _require_all(gallery, scope)
        scopes[name] = scope
    return GraphSystem(benchmark, galleries, scopes, chosen)


class GraphSystem:
    """Asks the graph that was opened on the query's gallery.

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
        self._ids = {
            name: {path: image for image, path in gallery.files.items()}
            for name, gallery in galleries.items()
        }
        self._depth = {name: benchmark.depth or len(gallery.files) for name, gallery in galleries.items()}
        scope = next(iter(scopes.values()))
        nodes = load_graph(scope.graph)(scope.services).nodes
        self._stages = [stage for stage in STAGES if stage in nodes]
        resolved = Settings.load(scope.services.settings, **settings).to_dict()
        self.identity = {
            "judge": resolved["judge"],
            "settings": {name: value for name, value in resolved.items() if name != "k"},
            "weights": dict(scope.services.weights),
        }

    async def answer(self, query: Query) -> Answer:
        """Rank the gallery; the result's rankings become official ids.

        Raises:
            BackendUnavailable: a model does not answer.
            ImageScopeError: this query failed.
        """
        files, ids = self._galleries[query.gallery].files, self._ids[query.gallery]
        reference = files[query.reference] if query.reference is not None else None
        result = await self._scopes[query.gallery].asearch(
            query.text, image=reference, k=self._depth[query.gallery]
        )
        rankings = {"judge": result.rankings["final"], **result.rankings}
        return Answer(
            stages={stage: [ids[path] for path in rankings[stage]] for stage in (*self._stages, "final")},
            notes=[dict(note) for note in result.notes],
            usage=result.usage,
        )


def _require_all(gallery: Gallery, scope: Any) -> None:
    """Check that the index holds the whole gallery; a smaller one would make every figure too good.

    Raises:
        BadInput: an image is not in it.
    """
    if absent := set(gallery.files.values()) - set(scope.services.collection.ids):
        raise BadInput(
            f"{gallery.folder / min(absent)}: cannot be indexed, as {len(absent) - 1} more of "
            f"{len(gallery.files)} images; obtain it again, the gallery must be complete"
        )

"""A query of the demonstration with its rankings: the records that the page and the picture are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagescope_agent.records import NoteDict, Reason
    from imagescope_agent.runs.results import SearchResult
    from imagescope_agent.state import Intent, Predicate

ROW_LENGTH = 8  # thumbnails in a row
STAGES = {  # title, what happens, which score to show
    "alone": ("CLIP alone", "the query itself against pictures and captions", "retrieve"),
    "retrieve": (
        "Retrieve",
        "three descriptions of the target against pictures and captions",
        "retrieve",
    ),
    "verify": ("Verify", "every candidate is asked every question; more right answers come first", "verify"),
    "judge": ("Judge", "the best few are looked at once more, in order; the first that fits wins", "judge"),
}


@dataclass(frozen=True, kw_only=True)
class DemoQuery:
    """A drawn query: `targets` are the ids of every relevant image, `reference` an id or None."""

    kind: str
    text: str
    reference: str | None
    targets: frozenset[str]

    @property
    def task(self) -> str:
        """`text` or `composed`."""
        return "composed" if self.reference else "text"


@dataclass(frozen=True, kw_only=True)
class RankedImage:
    """An image of a ranking; `rank` counts from 1, `score` is that of the stage, as text."""

    rank: int
    id: str
    path: Path
    correct: bool
    score: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StageRow:
    """The first images of a ranking after one stage; `first_correct` is a rank, None when none is relevant."""

    stage: str
    about: str
    images: tuple[RankedImage, ...]
    first_correct: int | None


@dataclass(frozen=True, kw_only=True)
class Example:
    """A query with its ranking before and after each stage, the reasons, and the cost."""

    query: DemoQuery
    reference: Path | None
    baseline: StageRow
    rows: tuple[StageRow, ...]
    intent: Intent
    predicates: tuple[Predicate, ...]
    notes: tuple[NoteDict, ...]
    usage: dict[str, Any]


def build_example(query: DemoQuery, baseline: SearchResult, result: SearchResult, folder: Path) -> Example:
    """Make an example from two search results.

    Args:
        query: the query.
        baseline: result of the graph `retrieve`.
        result: result of the graph `imagescope`.
        folder: the collection, where the ids are files.
    """
    rows = zip(("retrieve", "verify", "judge"), ("retrieve", "verify", "final"), strict=True)
    return Example(
        query=query,
        reference=folder / query.reference if query.reference else None,
        baseline=_row("alone", baseline, "final", query, folder),
        rows=tuple(_row(stage, result, ranking, query, folder) for stage, ranking in rows),
        intent=result.intent,
        predicates=tuple(result.predicates),
        notes=tuple(result.notes),
        usage=result.usage,
    )


def _row(stage: str, result: SearchResult, ranking: str, query: DemoQuery, folder: Path) -> StageRow:
    name, about, key = STAGES[stage]
    hits = {hit.id: hit for hit in result}
    order = result.rankings[ranking]
    images = []
    for rank, image in enumerate(order[:ROW_LENGTH], start=1):
        hit = hits.get(image)
        images.append(
            RankedImage(
                rank=rank,
                id=image,
                path=folder / image,
                correct=image in query.targets,
                score=_score_text(key, hit.scores.get(key), len(result.predicates)) if hit else "",
                reasons=hit.evidence if hit else (),
            )
        )
    right = (rank for rank, image in enumerate(order, start=1) if image in query.targets)
    return StageRow(stage=name, about=about, images=tuple(images), first_correct=next(right, None))


def _score_text(key: str, score: float | None, questions: int) -> str:
    """A score as text: how many answers match, or a number between 0 and 1."""
    if score is None:
        return ""
    return f"{round(score * questions)} of {questions}" if key == "verify" else f"{score:.2f}"

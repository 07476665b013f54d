"""What the demonstration shows of one query: plain records that the page and the picture are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagescope_agent.results import SearchResult
    from imagescope_agent.state import Intent, Note, Predicate

REASONS = ("matches", "fails", "unknown", "judge")
SHOWN = 8  # thumbnails in a row
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
    """A drawn query: `targets` are the ids of EVERY right image, `reference` an id or None."""

    kind: str
    text: str
    reference: str | None
    targets: frozenset[str]

    @property
    def task(self) -> str:
        """`text` or `composed`."""
        return "composed" if self.reference else "text"


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why an image stands where it stands; `kind` is one of REASONS, or "" for anything else."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """One position of a ranking; `rank` counts from 1, `score` is that of the stage, in words."""

    rank: int
    id: str
    path: Path
    correct: bool
    score: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """The first places of a ranking after one stage; `first_correct` is a rank, None when none is right."""

    stage: str
    about: str
    places: tuple[Place, ...]
    first_correct: int | None


@dataclass(frozen=True, kw_only=True)
class Story:
    """One query with its ranking before and after each stage, why, and what it cost."""

    query: DemoQuery
    reference: Path | None
    baseline: DemoRow
    rows: tuple[DemoRow, ...]
    intent: Intent
    predicates: tuple[Predicate, ...]
    notes: tuple[Note, ...]
    usage: dict[str, Any]


def tell(query: DemoQuery, baseline: SearchResult, result: SearchResult, folder: Path) -> Story:
    """Turn two search results into a story.

    Args:
        query: what was asked.
        baseline: result of the graph `retrieve`.
        result: result of the graph `imagescope`.
        folder: the collection, for the pictures of ids.
    """
    rows = zip(("retrieve", "verify", "judge"), ("retrieve", "verify", "final"), strict=True)
    return Story(
        query=query,
        reference=folder / query.reference if query.reference else None,
        baseline=_row("alone", baseline, "final", query, folder),
        rows=tuple(_row(stage, result, ranking, query, folder) for stage, ranking in rows),
        intent=result.intent,
        predicates=tuple(result.predicates),
        notes=tuple(result.notes),
        usage=result.usage,
    )


def reason(text: str) -> Reason:
    """Split "matches: Is there ...?" into its kind and the rest."""
    kind, colon, rest = text.partition(": ")
    return Reason(kind=kind, text=rest) if colon and kind in REASONS else Reason(kind="", text=text)


def _row(stage: str, result: SearchResult, ranking: str, query: DemoQuery, folder: Path) -> DemoRow:
    name, about, key = STAGES[stage]
    hits = {hit.id: hit for hit in result}
    order = result.rankings[ranking]
    places = []
    for rank, image in enumerate(order[:SHOWN], start=1):
        hit = hits.get(image)
        places.append(
            Place(
                rank=rank,
                id=image,
                path=folder / image,
                correct=image in query.targets,
                score=_say(key, hit.scores.get(key), len(result.predicates)) if hit else "",
                reasons=tuple(map(reason, hit.reasons)) if hit else (),
            )
        )
    right = (rank for rank, image in enumerate(order, start=1) if image in query.targets)
    return DemoRow(stage=name, about=about, places=tuple(places), first_correct=next(right, None))


def _say(key: str, score: float | None, questions: int) -> str:
    """A score in words: answers that match, or a number between 0 and 1."""
    if score is None:
        return ""
    return f"{round(score * questions)} of {questions}" if key == "verify" else f"{score:.2f}"

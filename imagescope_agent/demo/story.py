"""What the demonstration shows of one query: plain records that the page and the picture are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REASONS = ("matches", "fails", "unknown", "judge")
SHOWN = 6  # thumbnails in a row
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
class Query:
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
class Row:
    """The first places of a ranking after one stage; `first_correct` is a rank, None when none is right."""

    stage: str
    about: str
    places: tuple[Place, ...]
    first_correct: int | None


@dataclass(frozen=True, kw_only=True)
class Story:
    """One query with its ranking before and after each stage, why, and what it cost."""

    query: Query
    reference: Path | None
    baseline: Row
    rows: tuple[Row, ...]
    intent: dict[str, Any]
    predicates: tuple[dict[str, str], ...]
    notes: tuple[dict[str, str], ...]
    usage: dict[str, Any]


def tell(query: Query, baseline: dict[str, Any], result: dict[str, Any], folder: Path) -> Story:
    """Turn two search results into a story.

    Args:
        query: what was asked.
        baseline: result of the graph `retrieve`, as `SearchResult.to_dict()` gives it.
        result: result of the graph `imagescope`, with all its candidates.
        folder: the collection, for the pictures of ids.
    """
    retrieved = order(result["results"], "retrieve")
    verified = order(retrieved, "verify")
    stages = {"retrieve": retrieved, "verify": verified, "judge": result["results"]}
    return Story(
        query=query,
        reference=folder / query.reference if query.reference else None,
        baseline=_row("alone", baseline["results"], query),
        rows=tuple(_row(stage, hits, query, len(result["predicates"])) for stage, hits in stages.items()),
        intent=result["intent"] or {},
        predicates=tuple(result["predicates"]),
        notes=tuple(result["notes"]),
        usage=result["usage"],
    )


def order(hits: Sequence[dict[str, Any]], stage: str) -> list[dict[str, Any]]:
    """The ranking after `stage`: higher scores first, hits without that score last, ties as they were."""
    if stage == "retrieve":
        hits = sorted(hits, key=lambda hit: str(hit["id"]))
    return sorted(hits, key=lambda hit: -_score(hit, stage))


def _score(hit: dict[str, Any], stage: str) -> float:
    score = hit["scores"].get(stage)
    return float("-inf") if score is None else float(score)


def reason(text: str) -> Reason:
    """Split "matches: Is there ...?" into its kind and the rest."""
    kind, colon, rest = text.partition(": ")
    return Reason(kind=kind, text=rest) if colon and kind in REASONS else Reason(kind="", text=text)


def _row(stage: str, hits: Sequence[dict[str, Any]], query: Query, questions: int = 0) -> Row:
    name, about, key = STAGES[stage]
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit["id"] in query.targets]
    places = tuple(
        Place(
            rank=rank,
            id=hit["id"],
            path=Path(hit["path"]),
            correct=hit["id"] in query.targets,
            score=_say(key, hit["scores"].get(key), questions),
            reasons=tuple(map(reason, hit["reasons"])),
        )
        for rank, hit in enumerate(hits[:SHOWN], start=1)
    )
    return Row(stage=name, about=about, places=places, first_correct=min(ranks, default=None))


def _say(key: str, score: float | None, questions: int) -> str:
    """A score in words: answers that match, or a number between 0 and 1."""
    if score is None:
        return ""
    return f"{round(score * questions)} of {questions}" if key == "verify" else f"{score:.2f}"

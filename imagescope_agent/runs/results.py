"""What a search gives back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from imagescope_agent.common.thumbnails import to_data_uri
from imagescope_agent.records import NoteDict, Reason, Result, ResultDict, fulfilment_words
from imagescope_agent.state import Intent, Predicate
from imagescope_agent.usage import StepUsage, sum_by_name, token_counts

THUMBNAIL = 160  # pixels, longest side, in a notebook


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One image of a ranking.

    Args:
        rank: from 1.
        id: in the collection.
        path: where the file lies.
        scores: "retrieve" (cosine), "verify" (share of predicates satisfied, 0 to 1), "judge" (the strategy's
            own); higher is better, None where the stage did not look at the image.
        reasons: why it has this rank, in words.
        evidence: the same as records.
    """

    rank: int
    id: str
    path: str
    scores: dict[str, float | None]
    reasons: list[str]
    evidence: tuple[Reason, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The hit in JSON output."""
        values = asdict(self)
        del values["evidence"]
        return values


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """A ranking with everything that explains it; iterating gives the hits, best first.

    Args:
        rankings: ids best first after each stage: "retrieve", "verify", "final"; permutations of each other.
        notes: one per degraded answer.
        usage: what it cost, summed (see `total`).
        run: the id under which `ImageScope.resume` finds the run.
        settings: of the run.
        weights: the exact weights behind the embedder and every role.
        references: all of them, where there are several.
        unlike: the pictures that it should not be like.
        fulfilment: the probability that the first place fulfils the whole query, 0 to 1; None where nothing was
            verified, or the profile has no calibration.
        remarks: where that is too low: that nothing fits, and what the nearest image lacks.
        chain: what the model thought before it embedded the query: "caption" (what the reference shows), "reasoning"
            (what changes), "conclusion" (what is looked for); empty where it wrote nothing.
    """

    query: str
    reference: str | None
    graph: str
    judge: str
    profile: str
    results: tuple[Hit, ...]
    rankings: dict[str, list[str]]
    intent: Intent
    predicates: list[Predicate]
    notes: list[NoteDict]
    usage: dict[str, Any]
    run: str
    settings: dict[str, Any]
    weights: dict[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()
    unlike: tuple[str, ...] = ()
    fulfilment: float | None = None
    remarks: tuple[str, ...] = ()
    chain: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: int) -> Hit:
        return self.results[index]

    def _repr_html_(self) -> str:
        """The ranking as a notebook shows it: pictures, ranks, reasons; notes and cost below."""
        from imagescope_agent.common.html_templates import html_environment  # only notebooks need it

        return (
            html_environment("imagescope_agent.runs")
            .get_template("results.html.j2")
            .render(
                result=self,
                pictures={hit.id: _picture(hit) for hit in self.results},
                certain=fulfilment_words(self.fulfilment),
                width=THUMBNAIL,
                calls=sum(self.usage["calls"].values()),
                seconds=sum(self.usage["seconds"].values()),
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as `imagescope search --json` prints it."""
        shown = self.references or tuple(filter(None, (self.reference,)))
        return {
            "query": self.query,
            **({"references": list(shown)} if shown else {}),
            **({"unlike": list(self.unlike)} if self.unlike else {}),
            "graph": self.graph,
            "judge": self.judge,
            "profile": self.profile,
            "results": [hit.to_dict() for hit in self.results],
            "intent": dict(self.intent),
            **({"chain": dict(self.chain)} if self.chain else {}),
            "predicates": [dict(predicate) for predicate in self.predicates],
            **({} if self.fulfilment is None else {"fulfilment": self.fulfilment}),
            **({"remarks": list(self.remarks)} if self.remarks else {}),
            "notes": [dict(note) for note in self.notes],
            "usage": self.usage,
            "run": self.run,
        }


def _picture(hit: Hit) -> str:
    """The image of a hit as a data URI, "" where the file is gone."""
    from imagescope_agent.retrieval.images import ImageProblem, open_image

    try:
        return to_data_uri(open_image(Path(hit.path)), THUMBNAIL)
    except ImageProblem:
        return ""


def total(usage: Iterable[StepUsage]) -> dict[str, Any]:
    """The cost of a run: model calls by role, tokens, image prefills, seconds by step."""
    entries = list(usage)
    return {
        "calls": sum_by_name((entry["role"], entry["calls"]) for entry in entries if entry["calls"]),
        **token_counts(entries),
        "seconds": sum_by_name((entry["step"], entry["seconds"]) for entry in entries),
    }


def _hit(values: ResultDict, path: str) -> Hit:
    result = Result.from_dict(values)
    return Hit(
        rank=result.rank,
        id=result.id,
        path=path,
        scores=dict(result.scores),
        reasons=list(values["reasons"]),
        evidence=result.reasons,
    )


def to_result(
    state: Mapping[str, Any],
    *,
    paths: Mapping[str, str],
    graph: str,
    judge: str,
    profile: str,
    run: str,
    settings: dict[str, Any],
    weights: dict[str, str],
) -> SearchResult:
    """The result in a finished run's state; `paths` tells by id where the images lie."""
    rankings = {
        "retrieve": list(state["ranking_retrieve"]),
        "verify": list(state["ranking_verify"] or state["ranking_retrieve"]),
        "final": list(state["ranking"]),
    }
    return SearchResult(
        query=state.get("own_words") or state["query"],
        reference=state["reference"],
        graph=graph,
        judge=judge,
        profile=profile,
        results=tuple(_hit(hit, paths[hit["id"]]) for hit in state["results"]),
        rankings=rankings,
        intent=state["intent"],
        predicates=list(state["predicates"]),
        notes=list(state["notes"]),
        usage=total(state["usage"]),
        run=run,
        settings=settings,
        weights=weights,
        references=tuple(state.get("references", ())),
        unlike=tuple(state.get("unlike", ())),
        fulfilment=state.get("fulfilment"),
        remarks=tuple(state.get("remarks", ())),
        chain=dict(state.get("chain") or {}),
    )

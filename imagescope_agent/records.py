"""Records of a run: notes, reasons for a rank, results.

Each is frozen, and becomes plain values (`to_dict`) where it enters the state of a graph or a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, Self, cast, get_args

from typing_extensions import TypedDict

#: Kinds of note: "cut off" and "damaged" are of image files, "asked" is of an evaluation's simulated user.
NoteKind = Literal[
    "asked",
    "budget",  # calls or tokens ran out before everything was asked
    "contradiction",
    "cut off",
    "damaged",
    "drifted",  # the model described something else than was asked for
    "given up",  # a message of a conversation whose turn failed for good
    "fallback",  # the model lacks an ability; another way was taken
    "outside",  # the pictures or the query are unlike what the models were trained on
    "other",  # a kind that a model or judge from another package made up
    "refused",  # the model does not answer this request
    "repaired",
    "retried",
    "reworded",  # words that the models were not taught, read as near ones that they were
    "skipped",
    "tie",
    "unchecked",  # words of the query that nothing checks
    "uncaptioned",  # captions that are not made yet, since the index was made without on purpose
    "unmatched",  # no image matches the filter
    "unreadable",  # a reply without a usable answer
]
NOTE_KINDS: frozenset[str] = frozenset(get_args(NoteKind))
#: Kinds that say nothing against an answer.
NOT_DEGRADING: frozenset[str] = frozenset(
    {"asked", "given up", "retried", "reworded", "tie", "unchecked", "uncaptioned", "unmatched"}
)


#: The plain values of a `Note`: step, kind, detail. A model from any package may make one.
NoteDict = dict[str, str]


@dataclass(frozen=True)
class Note:
    """Something that a result's reader should know: the step, a kind that evaluation counts, and what happened."""

    step: str
    kind: NoteKind
    detail: str

    @property
    def degrading(self) -> bool:
        """Whether the answer is worse than it would have been."""
        return self.kind not in NOT_DEGRADING

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A note from plain values; an unknown kind becomes "other" and stands before the detail."""
        step, kind, detail = str(values.get("step", "")), str(values["kind"]), str(values["detail"])
        if kind in NOTE_KINDS:
            return cls(step, cast(NoteKind, kind), detail)
        return cls(step, "other", f"{kind}: {detail}")

    def to_dict(self) -> NoteDict:
        """Plain values."""
        return {"step": self.step, "kind": self.kind, "detail": self.detail}


def note(step: str, kind: NoteKind, detail: str) -> NoteDict:
    """A note as plain values."""
    return Note(step, kind, detail).to_dict()


def at_step(step: str, notes: Iterable[Mapping[str, Any]]) -> list[NoteDict]:
    """Notes that a model or a judge made, under the name of the step that called it."""
    return [Note.from_dict({**each, "step": step}).to_dict() for each in notes]


#: Kinds of reason; "text" is a sentence of which no more is known.
ReasonKind = Literal["matches", "fails", "unknown", "unverified", "judge", "copies", "caption", "text"]
SAYS_ALL = "its caption says everything that is wanted"  # the reason "caption"
_PREFIXES: dict[str, str] = {"unverified": "unverified: ", "judge": "judge: ", "copies": "the same picture: "}


class ReasonDict(TypedDict):
    """The plain values of a `Reason`."""

    kind: str
    question: str
    expected: str
    probability: float | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why an image has its rank.

    Args:
        kind: "matches", "fails" and "unknown" (not answered) are verdicts on a predicate; else `text` says it.
        question: of the predicate.
        expected: "Yes" or "No".
        probability: P(expected), None where the question was not answered.
        text: the judge's words, why the image was not verified, or the ids of the copies.
    """

    kind: ReasonKind
    question: str = ""
    expected: str = ""
    probability: float | None = None
    text: str = ""

    @property
    def is_verdict(self) -> bool:
        """Whether it is about a predicate."""
        return self.kind in ("matches", "fails", "unknown")

    @property
    def detail(self) -> str:
        """The sentence without its kind."""
        if not self.is_verdict:
            return self.text
        answer = (
            "not answered" if self.probability is None else f"P({self.expected}) = {self.probability:.2f}"
        )
        return f"{self.question} expected {self.expected}, {answer}"

    @property
    def sentence(self) -> str:
        """In words, as in `reasons` of a result."""
        prefix = f"{self.kind}: " if self.is_verdict else _PREFIXES.get(self.kind, "")
        return f"{prefix}{self.detail}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A reason from plain values.

        Raises:
            TypeError: a value is missing or not of its type.
        """
        words = {name: values.get(name) for name in ("kind", "question", "expected", "text")}
        probability = values.get("probability")
        if not all(isinstance(each, str) for each in words.values()):
            raise TypeError("a reason has no text where there should be one")
        if probability is not None and not isinstance(probability, int | float):
            raise TypeError("the probability of a reason is no number")
        return cls(probability=probability, **cast(dict[str, Any], words))

    def to_dict(self) -> ReasonDict:
        """Plain values."""
        return cast(ReasonDict, dict(vars(self)))


class ResultDict(TypedDict):
    """The plain values of a `Result`; states that older versions wrote have no `evidence`."""

    rank: int
    id: str
    scores: dict[str, float | None]
    reasons: list[str]
    evidence: NotRequired[list[ReasonDict]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One image of a ranking.

    Args:
        rank: from 1.
        id: in the collection.
        scores: "retrieve", "verify" and "judge", None where the stage did not look at the image.
        reasons: why it has this rank.
    """

    rank: int
    id: str
    scores: Mapping[str, float | None]
    reasons: tuple[Reason, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A result from plain values; without `evidence`, each sentence becomes a reason of kind "text"."""
        evidence = values.get("evidence")
        if evidence is None:
            reasons = tuple(Reason(kind="text", text=str(each)) for each in values["reasons"])
        else:
            reasons = tuple(map(Reason.from_dict, evidence))
        return cls(rank=int(values["rank"]), id=values["id"], scores=dict(values["scores"]), reasons=reasons)

    def to_dict(self) -> ResultDict:
        """Plain values: `reasons` in words, the same as records under `evidence`."""
        return {
            "rank": self.rank,
            "id": self.id,
            "scores": dict(self.scores),
            "reasons": [reason.sentence for reason in self.reasons],
            "evidence": [reason.to_dict() for reason in self.reasons],
        }


def fulfilment_words(chance: float | None) -> list[str]:
    """How probable it is that a first place fulfils its query, in a sentence; none where nothing is known."""
    return [] if chance is None else [f"the first fulfils the whole query with probability {chance:.2f}"]


def complete_order(order: list[str], ids: list[str]) -> list[str]:
    """A permutation of `ids` that follows `order`: unknown and repeated names go, missing ones come last."""
    known = [name for name in dict.fromkeys(order) if name in set(ids)]
    return known + [name for name in ids if name not in set(known)]

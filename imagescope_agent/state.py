"""The state of the graphs: plain values only, so that a checkpoint can be read without this package."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, get_origin, get_type_hints

from typing_extensions import TypedDict

from imagescope_agent.records import NoteDict, ResultDict
from imagescope_agent.usage import StepUsage


class Instruction(TypedDict):
    """An atomic instruction; type is Addition, Removal, Modification, Comparison or Retention."""

    type: str
    text: str
    reference: NotRequired[int]  # number, from 1, of the one of several references that it is about


class Intent(TypedDict):
    """What is wanted: atomic instructions, and the target described at three rising grains."""

    steps: list[Instruction]
    core: str
    enhanced: str
    full: str


def plain_intent(text: str, steps: Sequence[Instruction] = ()) -> Intent:
    """An intent whose three descriptions are the same text, with these instructions."""
    return {"steps": [*steps], "core": text, "enhanced": text, "full": text}


class Predicate(TypedDict):
    """A question about a candidate and the answer ("Yes" or "No") that speaks for it."""

    question: str
    expected: str
    reference: NotRequired[int]  # number, from 1, of the reference that must be seen beside the candidate
    asks: NotRequired[str]  # the question without the mark of that reference, as models are asked it


def matches_expected(probability: float, expected: str) -> bool:
    """Whether P(Yes) says what is expected; exactly even says nothing."""
    return probability > 0.5 if expected == "Yes" else probability < 0.5


class Candidate(TypedDict):
    """An image found by retrieval and its score (cosine, higher is better)."""

    id: str
    retrieve: float


class JudgementDict(TypedDict):
    """What the judge found: ids best first; scores and reasons by id, where it gave some."""

    order: list[str]
    scores: dict[str, float]
    reasons: dict[str, list[str]]


class Fact(TypedDict):
    """A standing instruction of a conversation, with the predicates that check it."""

    type: str
    text: str
    predicates: list[Predicate]


class ClarifyingQuestion(TypedDict):
    """What the user is asked: the words, the predicate they ask for, and the bits that an answer should give.

    `also` are further predicates that the same words ask for; yes or no answers no such question.
    """

    text: str
    asks: str
    also: NotRequired[list[str]]
    information: float


class MessagePart(TypedDict):
    """A part of a message and what it does, one of `dialogue_acts.ACTS`."""

    text: str
    act: str


class Proposal(TypedDict):
    """An edit that leads from a reference to a target; `type` as of an `Instruction`."""

    target: str
    type: str
    text: str


class Turn(TypedDict):
    """One finished turn of a conversation; `request` is all that was wanted by then, as a person would say it."""

    message: str
    reference: str | None
    references: NotRequired[list[str]]  # where there are several
    request: str
    results: list[ResultDict]
    question: ClarifyingQuestion | None
    notes: list[NoteDict]
    usage: list[StepUsage]
    where: NotRequired[str]
    remarks: NotRequired[list[str]]  # what was made of the message, and how far the results fit
    fulfilment: NotRequired[float]  # see `State`
    chain: NotRequired[dict[str, str]]  # see `State`


def references_of(state: State) -> list[str]:
    """All references of a run, in the order of their numbers; checkpoints of before know one."""
    if several := state.get("references"):
        return several
    return [] if (only := state.get("reference")) is None else [only]


Verdicts = dict[str, dict[str, float]]


def merge_verdicts(old: Verdicts, new: Verdicts) -> Verdicts:
    """Verdicts of both, the newer where both know: {image id: {question: P(Yes)}}."""
    merged = {image: dict(answers) for image, answers in old.items()}
    for image, answers in new.items():
        merged.setdefault(image, {}).update(answers)
    return merged


class SearchInput(TypedDict):
    """What a run is given: the text and, for composed retrieval, an image id or a path.

    `references` are several of them, in the order of their numbers in the text; `unlike` are pictures of what is not
    wanted.
    """

    query: str
    reference: NotRequired[str | None]
    references: NotRequired[list[str]]
    unlike: NotRequired[list[str]]


class RepeatedSearchInput(SearchInput):
    """A query after others: images that were shown and were not it."""

    rejected: NotRequired[list[str]]


class Feedback(TypedDict):
    """A like or rejection of one of the last results; `kind` is "like" or "reject", `rank` counts from 1."""

    kind: str
    rank: int


class MessageInput(SearchInput):
    """A message of a conversation; with `feedback`, the query is shown and not parsed."""

    feedback: NotRequired[Feedback | None]


class State(TypedDict, total=False):
    """Everything a run knows. Lists of ids are rankings, best first.

    The first node of a turn resets `new_turn`; `verdicts` and, in a conversation, `new_conversation` outlive a turn.
    """

    query: str
    own_words: str  # the query as it was said, where words of it were read as others; else ""
    reference: str | None
    references: list[str]  # all, where there are several; `reference` is the first
    unlike: list[str]
    reference_caption: str
    reference_captions: list[str]  # of each, where there are several
    intent: Intent
    chain: dict[str, str]  # thought before embedding: caption, reasoning, conclusion; {} for nothing
    agreed: bool | None  # whether two embedders find the same image first; None where that was not compared
    candidates: list[Candidate]
    predicates: list[Predicate]
    given_predicates: list[Predicate]  # that came with the intent
    reflections: int  # how often the search was widened
    verdicts: Annotated[Verdicts, merge_verdicts]
    matches: dict[str, int]
    unverified: dict[str, str]  # images about which the verifier was not to be asked, and why
    judgement: JudgementDict
    ranking_retrieve: list[str]
    ranking_verify: list[str]
    ranking: list[str]
    results: list[ResultDict]
    fulfilment: float | None  # P(the first place fulfils the whole query); None where nothing says
    notes: Annotated[list[NoteDict], operator.add]
    usage: Annotated[list[StepUsage], operator.add]
    schema: int  # from here on of a conversation only
    message: str
    feedback: Feedback | None  # of the message that is being parsed
    acts: list[MessagePart]  # what the parts of the message do
    remarks: list[str]  # what is said about the message; of a search, that nothing fits and what is missing
    anchor: str | None  # the standing reference
    anchors: list[str]  # the standing references, where there are several
    excluded: list[str]  # all pictures that messages said it is unlike
    request: str
    offset: int  # how many of the ranking were shown before the results, by requests to see more
    facts: list[Fact]
    where: str  # a filter that stands until it is removed
    liked: list[str]
    rejected: list[str]
    pool: list[str]  # predicates that may be asked for
    wordings: dict[str, str]  # how a predicate is asked for
    asked: list[str]
    question: ClarifyingQuestion | None
    turns: int  # how many are finished; the turns themselves are kept outside the state
    turn: Turn | None  # the last finished one
    calls: int  # of models, by all finished turns
    # building a triplet only
    pair: int
    tired: list[str]
    shown: list[str]  # neighbours of the reference that the editor chooses from
    others: list[str]  # further neighbours that the judge could mistake for the target
    proposal: Proposal | None
    evidence: dict[str, Any]
    dropped: str  # why there is no triplet
    triplet: dict[str, Any] | None


SCHEMA = 2  # version of what a conversation keeps; see `chat.migrations`
#: Keys with a reducer: a plain update is added to what is there.
_KINDS = get_type_hints(State, include_extras=True)
REDUCED = tuple(name for name, kind in _KINDS.items() if get_origin(kind) is Annotated)
#: Keys of a turn that are as long as its ranking.
RANKED = ("candidates", "ranking_retrieve", "ranking_verify", "ranking", "results")
#: Keys of a conversation that the first node of a turn leaves as they are.
KEPT = ("schema", "intent", "facts", "pool", "wordings", "asked", "question", "turns", "turn", "calls")
#: Keys of a conversation that a new topic resets.
OF_TOPIC = ("liked", "rejected", "excluded", "pool", "wordings", "asked", "question")


def new_turn() -> dict[str, Any]:
    """What belongs to one turn, as it is at its beginning."""
    return {
        **{"own_words": "", "reference_caption": "", "reference_captions": []},
        "intent": plain_intent(""),
        "chain": {},
        "candidates": [],
        **{"predicates": [], "given_predicates": []},
        "reflections": 0,
        "matches": {},
        "unverified": {},
        "acts": [],
        "remarks": [],
        "judgement": {"order": [], "scores": {}, "reasons": {}},
        "ranking_retrieve": [],
        "ranking_verify": [],
        "ranking": [],
        "results": [],
        "fulfilment": None,
        "notes": [],
        "usage": [],
    }


def new_conversation() -> dict[str, Any]:
    """What a conversation keeps between turns beside `verdicts`, as it is before the first."""
    return {
        "schema": SCHEMA,
        "message": "",
        "feedback": None,
        "anchor": None,
        "anchors": [],
        "excluded": [],
        "request": "",
        "reference_caption": "",
        "reference_captions": [],
        "intent": plain_intent(""),
        "facts": [],
        "where": "",
        "liked": [],
        "rejected": [],
        "pool": [],
        "wordings": {},
        "asked": [],
        "question": None,
        "offset": 0,
        "results": [],
        "turns": 0,
        "turn": None,
        "calls": 0,
    }


def overwrite(values: Mapping[str, Any]) -> dict[str, Any]:
    """An update that sets exactly these values, also of keys with a reducer."""
    from langgraph.types import Overwrite  # every command imports this module, and only graphs need it

    return {name: Overwrite(value) if name in REDUCED else value for name, value in values.items()}

"""A recorded run, read back: its steps, calls, rankings, verdicts and duels, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagescope_agent.collection import manifest
from imagescope_agent.collection.images import inside
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import OWN_JUDGE
from imagescope_agent.traces.duels import Duel, duels
from imagescope_agent.traces.why import Why, explain

if TYPE_CHECKING:
    import networkx

_COUNTS = ("prompt_tokens", "completion_tokens", "image_prefills")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of a call; `answer` is the reply, or a probability per choice, or None when it failed."""

    text: str
    images: tuple[str, ...]
    answer: str | list[float] | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """Questions a model was asked at once.

    Attributes:
        number: of its event, rising with time.
        span: number of the step it belongs to.
        started: seconds since the epoch.
        images: ids of the pictures shown, each once.
        cached: every picture shown, or part of the prompt, was known to the model already.
    """

    number: int
    span: int
    node: str
    role: str
    started: float
    questions: tuple[Question, ...]
    images: tuple[str, ...]
    choices: tuple[str, ...]
    usage: dict[str, Any]
    cached: bool
    error: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """A node that ran; `ended` is None where it was cut off, `attempt` counts from 1."""

    number: int
    node: str
    attempt: int
    started: float
    ended: float | None
    update: dict[str, Any] = field(repr=False)
    error: str


class Trace:
    """A run as it was recorded.

    Args:
        head: id, thread, turn, started, graph, query, reference, profile, settings, weights, versions, folder.
        events: in order, as `TraceStore.read` gives them.
    """

    def __init__(self, head: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
        self.head, self.events = dict(head), [dict(event) for event in events]
        self.id: str = self.head["id"]
        self.query: str = self.head["query"]
        self.reference: str | None = self.head.get("reference")

    def __repr__(self) -> str:
        return f"Trace({self.id!r}, {self.query!r}, {self.status})"

    @property
    def judge(self) -> str:
        """The name of the judge as far as it is known, "" where none judged."""
        named = (self.head.get("settings") or {}).get("judge") or self.head.get("judge")
        return str(named or (OWN_JUDGE if self.judgement["order"] else ""))

    @cached_property
    def status(self) -> str:
        """ "done", "failed", "waiting for an answer", or "running or cut off"."""
        ends = [event for event in self.events if event["kind"] in ("end", "resume")]
        return str(ends[-1]["status"]) if ends and ends[-1]["kind"] == "end" else "running or cut off"

    @cached_property
    def error(self) -> str:
        """What stopped the run, "" where nothing did."""
        return str(
            next((e["error"] for e in reversed(self.events) if e["kind"] == "end" and "error" in e), "")
        )

    @cached_property
    def steps(self) -> list[Step]:
        """The nodes in the order they began, every attempt."""
        ends = {e["span"]: e for e in self.events if e["kind"] in ("node_end", "node_error")}
        return [
            Step(
                number=event["seq"],
                node=event["node"],
                attempt=event["attempt"],
                started=event["at"],
                ended=ends[event["seq"]]["at"] if event["seq"] in ends else None,
                update=ends.get(event["seq"], {}).get("update", {}),
                error=ends.get(event["seq"], {}).get("error", ""),
            )
            for event in self.events
            if event["kind"] == "node"
        ]

    @cached_property
    def calls(self) -> list[Call]:
        """What models were asked, in the order of the answers."""
        nodes = {step.number: step.node for step in self.steps}
        return [_call(event, nodes) for event in self.events if event["kind"] == "call"]

    @cached_property
    def usage(self) -> dict[str, Any]:
        """As `SearchResult.usage`: calls by role, tokens, prefills, seconds by step; of finished steps."""
        finished = {step.number for step in self.steps if step.ended is not None and not step.error}
        kept = [call for call in self.calls if call.span in finished and not call.error]
        calls: dict[str, int] = {}
        for call in kept:
            calls[call.role] = calls.get(call.role, 0) + int(call.usage.get("calls", 0))
        seconds: dict[str, float] = {}
        for step in self.steps:
            if step.ended is not None:
                seconds[step.node] = seconds.get(step.node, 0.0) + step.ended - step.started
        sums = {name: sum(int(call.usage.get(name, 0)) for call in kept) for name in _COUNTS}
        return {"calls": {role: n for role, n in calls.items() if n}, **sums, "seconds": seconds}

    @cached_property
    def stages(self) -> list[tuple[str, list[str]]]:
        """(node, ids best first) for every node that ranked, in time; unchanged copies at the end left out."""
        found: list[tuple[str, list[str]]] = []
        for step in self.steps:
            for key, value in step.update.items():
                if not key.startswith("ranking") or not value:
                    continue
                if found and found[-1][1] == value and step.node == "answer":
                    continue
                found.append((step.node, [str(name) for name in value]))
        return found

    @property
    def ranking(self) -> list[str]:
        """The ids as they stand at the end, best first."""
        return self.stages[-1][1] if self.stages else []

    @cached_property
    def intent(self) -> dict[str, Any]:
        """The last intent: steps, core, enhanced, full."""
        return dict(self._last("intent") or {})

    @cached_property
    def predicates(self) -> list[dict[str, str]]:
        """The last predicates: question, expected."""
        return list(self._last("predicates") or [])

    @cached_property
    def verdicts(self) -> dict[str, dict[str, float]]:
        """{image id: {question: P(Yes)}} of this turn's own questions and those it was answered from."""
        merged: dict[str, dict[str, float]] = {}
        for step in self.steps:
            for name, answers in (step.update.get("verdicts") or {}).items():
                merged.setdefault(name, {}).update(answers)
        return merged

    @cached_property
    def scores(self) -> dict[str, float]:
        """Retrieval score by image id."""
        return {each["id"]: each["retrieve"] for each in self._last("candidates") or []}

    @cached_property
    def matches(self) -> dict[str, int]:
        """How many predicates each verified image satisfied."""
        return dict(self._last("matches") or {})

    @cached_property
    def judgement(self) -> dict[str, Any]:
        """The judge's order, scores and reasons."""
        return {"order": [], "scores": {}, "reasons": {}, **(self._last("judgement") or {})}

    @cached_property
    def notes(self) -> list[dict[str, str]]:
        """What was degraded, in order."""
        return [note for step in self.steps for note in step.update.get("notes") or []]

    @cached_property
    def duels(self) -> list[Duel]:
        """The judge's comparisons of one candidate with another; see `duels.duels`."""
        return duels(self)

    @cached_property
    def keys(self) -> dict[str, str]:
        """The sha256 of pictures by id: as the run told it, else as the index beside which the trace lies does."""
        ends = [event for event in self.events if event["kind"] == "end"]
        told = [each["keys"] for each in (self.head, *ends) if isinstance(each.get("keys"), dict)]
        merged = {name: key for keys in told for name, key in keys.items() if key}
        return merged or _keys_beside(Path(self.head.get("store") or ""), str(self.head.get("folder")))

    def path(self, name: str) -> Path:
        """Where the image of an id lies, every link followed.

        Raises:
            ImageProblem: it does not, or not in the folder of the run, whose name may be a stranger's.
        """
        outside = name == self.reference and Path(name).is_absolute()
        return Path(name) if outside else inside(Path(self.head.get("folder") or "."), name)

    def why(self, above: str, below: str) -> Why:
        """Why one image stands above another, in words.

        Raises:
            BadInput: an image is not in the ranking.
        """
        return explain(self, above, below)

    def to_networkx(self) -> networkx.DiGraph[str]:
        """The run as a typed graph; see `graph.to_networkx` for its nodes, edges and attributes."""
        from imagescope_agent.traces.graph import to_networkx

        return to_networkx(self)

    def to_html(self) -> str:
        """The run as one self-contained page."""
        from imagescope_agent.traces.page import render

        return render(self)

    def _repr_html_(self) -> str:
        from imagescope_agent.traces.notebook import framed

        return framed(self.to_html())

    def to_dict(self) -> dict[str, Any]:
        """The run as `imagescope trace --json` prints it."""
        return {
            **self.head,
            "status": self.status,
            "error": self.error,
            "usage": self.usage,
            "notes": self.notes,
            "intent": self.intent,
            "predicates": self.predicates,
            "stages": [{"node": node, "ranking": ranking} for node, ranking in self.stages],
            "verdicts": self.verdicts,
            "judgement": self.judgement,
            "events": self.events,
        }

    def _last(self, key: str) -> Any:
        found = (step.update[key] for step in reversed(self.steps) if step.update.get(key))
        return next(found, None)


def _keys_beside(store: Path, folder: str) -> dict[str, str]:
    try:
        content = manifest.read(store.parent)
    except BadInput:
        return {}
    ours = (store.parent / content.folder).resolve() == Path(folder).resolve()
    return {entry.id: entry.key for entry in content.entries} if ours else {}


def _call(event: Mapping[str, Any], nodes: Mapping[int, str]) -> Call:
    texts, images, usage = event["texts"], event["images"], event["usage"]
    questions = tuple(
        Question(text=texts[text], images=tuple(images[i] for i in shown), answer=answer)
        for text, shown, answer in event["asked"]
    )
    known = bool(images) and usage.get("image_prefills") == 0 and event.get("error") is None
    return Call(
        number=event["seq"],
        span=event["span"],
        node=nodes.get(event["span"], ""),
        role=event["role"],
        started=event["started"],
        questions=questions,
        images=tuple(images),
        choices=tuple(event.get("choices") or ()),
        usage=dict(usage),
        cached=known or bool(event.get("reused")),
        error=str(event.get("error") or ""),
    )

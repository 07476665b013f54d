"""A recorded run as data: its steps, model calls, rankings, verdicts, judgement and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from imagescope_agent.common.untrusted import real_path
from imagescope_agent.errors import BadInput
from imagescope_agent.judges import OWN_JUDGE
from imagescope_agent.retrieval.images import inside
from imagescope_agent.retrieval.index import manifest
from imagescope_agent.retrieval.metadata.where import both
from imagescope_agent.usage import Usage, sum_by_name, token_counts


@dataclass(frozen=True, kw_only=True)
class TraceQuestion:
    """One question of a call; `answer` is the reply, a probability per choice, or None when the call failed."""

    text: str
    images: tuple[str, ...]
    answer: str | list[float] | None


@dataclass(frozen=True, kw_only=True)
class ModelCall:
    """One call to a model: a question, or a batch of them.

    Attributes:
        number: of its event, rising with time.
        span: number of the step it belongs to.
        started: seconds since the epoch.
        images: ids of the images shown, each once.
        cached: every image shown, or part of the prompt, came from the model's cache.
    """

    number: int
    span: int
    node: str
    role: str
    started: float
    questions: tuple[TraceQuestion, ...]
    images: tuple[str, ...]
    choices: tuple[str, ...]
    usage: dict[str, Any]
    cached: bool
    error: str

    @property
    def cost(self) -> Usage:
        """`usage` as a record; what is missing is 0."""
        return Usage.from_dict(self.usage)


@dataclass(frozen=True, kw_only=True)
class TraceStep:
    """One execution of a node; `ended` is None where it was interrupted, `attempt` counts from 1."""

    number: int
    node: str
    attempt: int
    started: float
    ended: float | None
    update: dict[str, Any] = field(repr=False)
    error: str


class Trace:
    """A recorded run; `explain`, `to_networkx`, `pairwise` and `page` are functions over it.

    Args:
        head: id, thread, turn, started, graph, query, reference, profile, settings, weights, versions, folder.
        events: in order, as `TraceStore.read` gives them.
    """

    def __init__(self, head: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
        self.head, self.events = dict(head), [dict(event) for event in events]
        self.id: str = self.head["id"]
        self.query: str = self.head["query"]
        self.reference: str | None = self.head.get("reference")
        several = self.head.get("references")
        self.references: list[str] = (
            several if isinstance(several, list) else [self.reference] if self.reference else []
        )
        unlike = self.head.get("unlike")
        self.unlike: list[str] = unlike if isinstance(unlike, list) else []

    def __repr__(self) -> str:
        return f"Trace({self.id!r}, {self.query!r}, {self.status})"

    @property
    def judge(self) -> str:
        """Name of the judge as far as it is known, "" where no judge ran."""
        named = (self.head.get("settings") or {}).get("judge") or self.head.get("judge")
        return str(named or (OWN_JUDGE if self.judgement["order"] else ""))

    @property
    def where(self) -> str:
        """The filter of the run, "" for none: that of its settings, and the one that stood in the conversation."""
        stood = [str(step.update["where"]) for step in self.steps if "where" in step.update]
        return both(str((self.head.get("settings") or {}).get("where", "")), stood[-1] if stood else "")

    @cached_property
    def status(self) -> str:
        """ "done", "failed", "waiting for an answer", or "running or cut off"."""
        ends = [event for event in self.events if event["kind"] in ("end", "resume")]
        return str(ends[-1]["status"]) if ends and ends[-1]["kind"] == "end" else "running or cut off"

    @cached_property
    def error(self) -> str:
        """The error that stopped the run, "" where there is none."""
        return str(
            next((e["error"] for e in reversed(self.events) if e["kind"] == "end" and "error" in e), "")
        )

    @cached_property
    def steps(self) -> list[TraceStep]:
        """Executions of nodes in order of their start, every attempt."""
        ends = {e["span"]: e for e in self.events if e["kind"] in ("node_end", "node_error")}
        return [
            TraceStep(
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
    def calls(self) -> list[ModelCall]:
        """Model calls in the order of their answers."""
        nodes = {step.number: step.node for step in self.steps}
        return [_call(event, nodes) for event in self.events if event["kind"] == "call"]

    @cached_property
    def usage(self) -> dict[str, Any]:
        """As `SearchResult.usage`: calls by role, tokens, prefills, seconds by step; of finished steps."""
        finished = {step.number for step in self.steps if step.ended is not None and not step.error}
        kept = [call for call in self.calls if call.span in finished and not call.error]
        calls = sum_by_name((call.role, call.cost.calls) for call in kept)
        ended = ((step.node, step.ended - step.started) for step in self.steps if step.ended is not None)
        sums = token_counts(call.usage for call in kept)
        return {
            "calls": {role: n for role, n in calls.items() if n},
            **sums,
            "seconds": sum_by_name(ended),
        }

    @cached_property
    def stages(self) -> list[tuple[str, list[str]]]:
        """(node, ids best first) for every node that ranked, in order of time, without unchanged copies by `answer`."""
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
        """The final ranking: ids, best first."""
        return self.stages[-1][1] if self.stages else []

    @cached_property
    def intent(self) -> dict[str, Any]:
        """The last intent: steps, core, enhanced, full."""
        return dict(self._last("intent") or {})

    @cached_property
    def chain(self) -> dict[str, str]:
        """What the model thought before it embedded the query: caption, reasoning, conclusion; empty for nothing."""
        return dict(self._last("chain") or {})

    @cached_property
    def remarks(self) -> list[str]:
        """What the search said in words about its answer, such as that nothing fits; empty for nothing."""
        return [str(each) for each in self._last("remarks") or []]

    @cached_property
    def fulfilment(self) -> float | None:
        """The last probability that the first place fulfils the whole query; None where none was stated."""
        stated = [step.update["fulfilment"] for step in self.steps if "fulfilment" in step.update][-1:]
        return float(stated[0]) if stated and isinstance(stated[0], int | float) else None

    @cached_property
    def predicates(self) -> list[dict[str, str]]:
        """The last predicates: question, expected."""
        return list(self._last("predicates") or [])

    @cached_property
    def verdicts(self) -> dict[str, dict[str, float]]:
        """{image id: {question: P(Yes)}}, those of earlier turns that this turn used included."""
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
        """Notes about degraded steps, in order of time."""
        return [note for step in self.steps for note in step.update.get("notes") or []]

    @cached_property
    def keys(self) -> dict[str, str]:
        """sha256 of image files by id: as recorded, else from the index beside which the store of the trace lies."""
        ends = [event for event in self.events if event["kind"] == "end"]
        told = [each["keys"] for each in (self.head, *ends) if isinstance(each.get("keys"), dict)]
        merged = {name: key for keys in told for name, key in keys.items() if key}
        return merged or _keys_beside(Path(self.head.get("store") or ""), str(self.head.get("folder")))

    def path(self, name: str) -> Path:
        """Where the image of an id lies, every link followed.

        Raises:
            ImageProblem: it is missing, or outside the folder of the run; a trace may come from another machine.
        """
        outside = name in (*self.references, *self.unlike) and Path(name).is_absolute()
        return Path(name) if outside else inside(Path(self.head.get("folder") or "."), name)

    def to_dict(self) -> dict[str, Any]:
        """The run as `imagescope trace --json` prints it."""
        return {
            **self.head,
            "status": self.status,
            "error": self.error,
            "usage": self.usage,
            "notes": self.notes,
            "intent": self.intent,
            **({"chain": self.chain} if self.chain else {}),
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
    ours = real_path(store.parent / content.folder) == real_path(Path(folder))
    return {entry.id: entry.key for entry in content.entries} if ours else {}


def _call(event: Mapping[str, Any], nodes: Mapping[int, str]) -> ModelCall:
    texts, images, usage = event["texts"], event["images"], event["usage"]
    questions = tuple(
        TraceQuestion(text=texts[text], images=tuple(images[i] for i in shown), answer=answer)
        for text, shown, answer in event["asked"]
    )
    known = bool(images) and usage.get("image_prefills") == 0 and event.get("error") is None
    return ModelCall(
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

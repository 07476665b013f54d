"""Record runs of any graph through LangChain callbacks, event by event."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langgraph.types import Command

from imagescope_agent.errors import ImageScopeError
from imagescope_agent.mllms.role import SCORED
from imagescope_agent.records import NoteDict, note
from imagescope_agent.replies.reader import content_text, count, metadata, said
from imagescope_agent.traces.serialize import cut, pack_questions, plain_update, read_messages, versions

MOST_KEYS = 1_000  # of a ranking

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Span:
    """An open step: its trace, the number of its first event, and its context.

    `own` is the callback run that began the step; runnables inside it share the span but do not end it.
    """

    trace: str
    number: int = 0
    node: str = ""
    started: float = 0.0
    own: UUID | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


class EventSink(Protocol):
    """Where a recorder writes: a `TraceStore`, or the `SpanExporter` of `traces.otel`."""

    def start(self, thread: str, *, graph: str, query: str, about: Mapping[str, Any]) -> str:
        """Begin a trace; returns its id."""
        ...

    def newest_of(self, thread: str) -> str | None:
        """The id of a thread's last trace, None where it cannot be continued."""
        ...

    def append(self, run: str, kind: str, data: Mapping[str, Any]) -> int:
        """Add an event; returns its number."""
        ...


class Recorder(BaseCallbackHandler):
    """A LangChain callback handler that writes a trace for every run it is attached to.

    Recording never stops a run: an error is logged once and kept in `problem`.

    Args:
        store: where to write.
        about: metadata of the run: settings, weights, profile, folder; a function is called when a run begins.
        name_of: sha256 of an image file -> its id, "" for one outside the collection.
        key_of: id or path of an image -> sha256 of its file, "" where there is none; a page of the trace shows only
            files with these hashes.
    """

    run_inline = True  # events keep their order
    raise_error = False

    def __init__(
        self,
        store: EventSink,
        *,
        about: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        name_of: Callable[[str], str] | None = None,
        key_of: Callable[[str], str] | None = None,
    ) -> None:
        self.store, self.problem = store, ""
        self._about = about or {}
        self._name_of = name_of or (lambda key: "")
        self._key_of = key_of or (lambda name: "")
        self._spans: dict[UUID, _Span] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def notes(self) -> list[NoteDict]:
        """A note if the trace is incomplete."""
        detail = f"the trace is not complete: {self.problem}"
        return [note("trace", "skipped", detail)] if self.problem else []

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Begin a trace, or a node of it; a runnable inside a node belongs to the node."""
        parent = self._spans.get(parent_run_id) if parent_run_id else None
        metadata, name = metadata or {}, str(kwargs.get("name") or "")
        if parent is None and name.endswith("UpdateState"):
            self._spans[run_id] = _Span(trace="")  # a checkpoint is edited, nothing runs
        elif parent is None:
            self._guard(lambda: self._begin(run_id, name, inputs, metadata))
        elif parent.trace and name == metadata.get("langgraph_node"):
            self._guard(lambda: self._node(run_id, parent, name, inputs, metadata))
        else:
            self._spans[run_id] = parent

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the update of a node, or the end of the run."""
        span = self._spans.pop(run_id, None)
        if span is None or span.own != run_id:
            return
        if span.node:
            data = {"span": span.number, "update": plain_update(outputs)}
            self._guard(lambda: self.store.append(span.trace, "node_end", data))
        else:
            waiting = isinstance(outputs, Mapping) and outputs.get("__interrupt__")
            status = "waiting for an answer" if waiting else "done"
            self._end(span, status, keys=self._keys(outputs))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record the error of a node, or of the run."""
        span = self._spans.pop(run_id, None)
        if span is None or span.own != run_id:
            return
        message = cut(f"{type(error).__name__}: {error}")
        if span.node:
            self._guard(
                lambda: self.store.append(span.trace, "node_error", {"span": span.number, "error": message})
            )
        else:
            self._end(span, "failed", error=message)

    def _keys(self, outputs: Any) -> dict[str, str]:
        """sha256 of the image files that a finished run ranked."""
        ranking = outputs.get("ranking") if isinstance(outputs, Mapping) else None
        names = [name for name in ranking if isinstance(name, str)] if isinstance(ranking, list) else []
        return {name: key for name in names[:MOST_KEYS] if (key := self._key_of(name))}

    def _end(self, span: _Span, status: str, **more: Any) -> None:
        """Record the end of a run, or an interrupt; attempts of a finished run are no longer counted."""
        if status != "waiting for an answer":
            with self._lock:
                for task in [task for task in self._attempts if task[0] == span.trace]:
                    del self._attempts[task]
        self._guard(lambda: self.store.append(span.trace, "end", {"status": status, **more}))

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the prompt until the model has answered; its options are not recorded."""
        parent = self._spans.get(parent_run_id) if parent_run_id else None
        if parent is not None:
            text, keys = read_messages(messages[0])
            known = metadata or {}
            asked = {
                "role": str(known.get("role") or parent.node),
                "text": text,
                "keys": known.get("images") or keys,
            }
            self._spans[run_id] = _Span(
                trace=parent.trace, number=parent.number, node=parent.node, started=time.time(), asked=asked
            )

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a question and its answer."""
        span = self._spans.pop(run_id, None)
        if span is None or "text" not in span.asked:
            return
        generation = response.generations[0][0]
        message = generation.message if isinstance(generation, ChatGeneration) else None
        found = said(message)
        reply = content_text(message.content) or "" if message is not None else generation.text
        usage = {
            "calls": 1,
            "prompt_tokens": found.prompt_tokens,
            "completion_tokens": found.completion_tokens,
            "image_prefills": count(metadata(message).get("image_prefills")),
            "seconds": time.time() - span.started,
        }
        tokens = getattr(message, "usage_metadata", None)
        details = tokens.get("input_token_details") if isinstance(tokens, Mapping) else None
        reused = count(details.get("cache_read")) if isinstance(details, Mapping) else 0
        self._call(span, [(span.asked["text"], span.asked["keys"], cut(reply.strip()))], usage, reused=reused)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a question whose call failed."""
        span = self._spans.pop(run_id, None)
        if span is not None and "text" in span.asked:
            failed = [(span.asked["text"], span.asked["keys"], None)]
            self._call(span, failed, {"calls": 1}, error=cut(f"{type(error).__name__}: {error}"))

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Record a batch of questions answered with probabilities (`Role.choose`)."""
        span = self._spans.get(run_id)
        if name != SCORED or span is None:
            return
        started = time.time() - data["usage"].get("seconds", 0.0)
        batch = _Span(
            trace=span.trace,
            number=span.number,
            node=span.node,
            started=started,
            asked={"role": data["role"]},
        )
        questions = [
            (text, keys, [round(p, 4) for p in row])
            for text, keys, row in zip(data["texts"], data["images"], data["probabilities"], strict=True)
        ]
        self._call(batch, questions, data["usage"], choices=list(data["choices"]))

    def _begin(self, run_id: UUID, name: str, inputs: Any, metadata: Mapping[str, Any]) -> None:
        thread = str(metadata.get("thread_id") or run_id)
        # the answer to an interrupt begins a turn of a conversation
        values = inputs.resume if isinstance(inputs, Command) else inputs
        given: Mapping[str, Any] = values if isinstance(values, Mapping) else {}
        trace = None if given else self.store.newest_of(thread)
        if trace is None:
            known = self._about() if callable(self._about) else self._about
            about = {**known, "versions": dict(versions()), "reference": given.get("reference")}
            several = [name for name in given.get("references") or () if isinstance(name, str)]
            first = given.get("reference")
            brought = several or ([first] if isinstance(first, str) else [])
            unlike = [name for name in given.get("unlike") or () if isinstance(name, str)]
            if pictures := [*brought, *unlike]:
                about["keys"] = {name: self._key_of(name) for name in pictures}
            about |= {"reference": brought[0], "references": brought} if several else {}
            about |= {"unlike": unlike} if unlike else {}
            about["judge"] = metadata.get("judge")  # the graph's own, where it names one
            query = str(given.get("query") or given.get("message") or "")
            trace = self.store.start(thread, graph=name, query=cut(query), about=about)
        else:
            self.store.append(trace, "resume", {})
        self._spans[run_id] = _Span(trace=trace, started=time.time(), own=run_id)

    def _node(self, run_id: UUID, parent: _Span, name: str, inputs: Any, metadata: Mapping[str, Any]) -> None:
        task = (parent.trace, str(metadata.get("langgraph_checkpoint_ns", run_id)))
        with self._lock:
            attempt = self._attempts[task] = self._attempts.get(task, 0) + 1
        data = {
            "node": name,
            "step": metadata.get("langgraph_step"),
            "attempt": attempt,
            "parent": parent.number,
        }
        number = self.store.append(parent.trace, "node", data)
        self._spans[run_id] = _Span(
            trace=parent.trace, number=number, node=name, started=time.time(), own=run_id
        )

    def _call(
        self,
        span: _Span,
        questions: Sequence[tuple[str, Sequence[str], Any]],
        usage: Mapping[str, Any],
        **more: Any,
    ) -> None:
        named = [
            (text, [self._name_of(key) or key for key in keys], reply) for text, keys, reply in questions
        ]
        data = {
            "span": span.number,
            "role": span.asked["role"],
            **pack_questions(named),
            "usage": dict(usage),
            "started": span.started,
            **more,
        }
        self._guard(lambda: self.store.append(span.trace, "call", data))

    def _guard(self, write: Callable[[], object]) -> None:
        if self.problem:
            return
        try:
            write()
        except (sqlite3.Error, ImageScopeError, TypeError, ValueError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            _log.warning("the trace is not complete: %s", self.problem)

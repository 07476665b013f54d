"""Export runs as OpenTelemetry spans with OpenInference attributes, from the events of a trace.

Set IMAGESCOPE_OTEL=on to send them to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, or to whatever tracer
provider the process has set up. A run is an AGENT span; its nodes are CHAIN, RETRIEVER or RERANKER spans inside it, and
a call to a model is an LLM span inside its node. Spans that a node's own code starts lie inside the node's span too.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from imagescope_agent.common.redact import redact
from imagescope_agent.errors import MissingExtra

try:
    from opentelemetry import context, trace
    from opentelemetry.trace import Span, Status, StatusCode, TracerProvider
except ImportError as error:
    raise MissingExtra("OpenTelemetry needs an extra: pip install 'imagescope-agent[otel]'") from error

KIND = "openinference.span.kind"
MOST_MESSAGES = 20  # questions of a batch, and documents of a ranking, that are exported
LONGEST = 2_000  # characters of one text


class SpanExporter:
    """An `EventSink` for a `Recorder` that turns events into spans as they come.

    Args:
        provider: the tracer provider; None for that of the process, with an OTLP exporter where it has none.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = (provider or _provider()).get_tracer("imagescope_agent")
        self._numbers = itertools.count(1)
        self._open: dict[tuple[str, int], Span] = {}
        self._outside: dict[str, context.Context] = {}

    def start(self, thread: str, *, graph: str, query: str, about: Mapping[str, Any]) -> str:
        """Begin the span of a run, inside the caller's current span."""
        run = f"{thread}.{next(self._numbers)}"
        metadata = {name: about.get(name) for name in ("profile", "settings", "weights", "versions")}
        known = {
            KIND: "AGENT",
            "session.id": thread,
            "input.value": _text(query),
            "metadata": _json(metadata),
        }
        self._open[run, 0] = self._tracer.start_span(graph or "run", attributes=known)
        self._outside[run] = context.get_current()
        return run

    def newest_of(self, thread: str) -> None:
        """None: a resumed run is a new span."""

    def append(self, run: str, kind: str, data: Mapping[str, Any]) -> int:
        """Start, annotate or end the span of an event."""
        number = next(self._numbers)
        if kind == "node":
            self._begin(run, number, data)
        elif kind in ("node_end", "node_error"):
            self._end(run, data)
        elif kind == "call":
            self._call(run, data)
        elif kind == "end":
            self._finish(run, data)
        return number

    def _begin(self, run: str, number: int, data: Mapping[str, Any]) -> None:
        span = self._tracer.start_span(
            data["node"], context=self._inside(run, data["parent"]), attributes={KIND: "CHAIN"}
        )
        self._open[run, number] = span
        # a node runs in its own context; spans that its code starts must be children of this one
        context.attach(trace.set_span_in_context(span))

    def _end(self, run: str, data: Mapping[str, Any]) -> None:
        span = self._open.pop((run, data["span"]), None)
        if span is None:
            return
        if "error" in data:
            span.set_status(Status(StatusCode.ERROR, data["error"]))
        span.set_attributes(_outcome(data.get("update") or {}))
        span.end()

    def _finish(self, run: str, data: Mapping[str, Any]) -> None:
        root = self._open.pop((run, 0), None)
        if root is None:
            return
        if "error" in data:
            root.set_status(Status(StatusCode.ERROR, data["error"]))
        root.end()
        # nodes that shared the caller's context attached their spans to it
        context.attach(self._outside.pop(run))

    def _call(self, run: str, data: Mapping[str, Any]) -> None:
        started, usage = data["started"], data["usage"]
        span = self._tracer.start_span(
            data["role"],
            context=self._inside(run, data["span"]),
            attributes={KIND: "LLM", **_tokens_of(usage), **_messages(data)},
            start_time=round(started * 1e9),
        )
        if data.get("error"):
            span.set_status(Status(StatusCode.ERROR, data["error"]))
        span.end(round((started + float(usage.get("seconds", 0.0))) * 1e9))

    def _inside(self, run: str, number: int) -> Any:
        parent = self._open.get((run, number)) or self._open.get((run, 0))
        return None if parent is None else trace.set_span_in_context(parent)


def _outcome(update: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a node's update; a node that retrieved or ordered images is a RETRIEVER or RERANKER."""
    attributes: dict[str, Any] = {"output.value": _json(update), "output.mime_type": "application/json"}
    if candidates := update.get("candidates"):
        attributes[KIND] = "RETRIEVER"
        for i, each in enumerate(candidates[:MOST_MESSAGES]):
            attributes[f"retrieval.documents.{i}.document.id"] = each["id"]
            attributes[f"retrieval.documents.{i}.document.score"] = float(each["retrieve"])
    elif order := (update.get("judgement") or {}).get("order"):
        attributes[KIND] = "RERANKER"
        for i, name in enumerate(order[:MOST_MESSAGES]):
            attributes[f"reranker.output_documents.{i}.document.id"] = name
    return attributes


def _tokens_of(usage: Mapping[str, Any]) -> dict[str, int]:
    read, written = int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))
    return {
        "llm.token_count.prompt": read,
        "llm.token_count.completion": written,
        "llm.token_count.total": read + written,
        "imagescope.calls": int(usage.get("calls", 0)),
        "imagescope.image_prefills": int(usage.get("image_prefills", 0)),
    }


def _messages(data: Mapping[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for i, (text, images, answer) in enumerate(data["asked"][:MOST_MESSAGES]):
        shown = ", ".join(data["images"][image] for image in images)
        words = f"[{shown}] {data['texts'][text]}" if shown else data["texts"][text]
        if not isinstance(answer, str | None):
            answer = _json(dict(zip(data.get("choices") or (), answer, strict=False)))
        attributes[f"llm.input_messages.{i}.message.role"] = "user"
        attributes[f"llm.input_messages.{i}.message.content"] = _text(words)
        attributes[f"llm.output_messages.{i}.message.role"] = "assistant"
        attributes[f"llm.output_messages.{i}.message.content"] = _text(answer or "")
    return attributes


def _text(text: str) -> str:
    return redact(text[:LONGEST])


def _json(value: Any) -> str:
    return _text(json.dumps(value, ensure_ascii=False, default=str))


@cache
def _provider() -> TracerProvider:
    """The tracer provider of the process; if it has none, one that exports to the collector that OTEL_* names.

    Raises:
        MissingExtra: there is none and no exporter is installed.
    """
    ours = trace.get_tracer_provider()
    if not isinstance(ours, trace.ProxyTracerProvider):
        return ours
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider as Sender
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtra("OpenTelemetry needs an extra: pip install 'imagescope-agent[otel]'") from error
    # OTEL_SERVICE_NAME, where it is set, wins
    sender = Sender(resource=Resource({SERVICE_NAME: "imagescope-agent"}).merge(Resource.create()))
    sender.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return sender

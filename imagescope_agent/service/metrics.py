"""Prometheus metrics of a service: searches, seconds by step, calls and tokens, the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request

from imagescope_agent.service.admission import AdmissionQueue

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)  # seconds


class Metrics:
    """Counts what a service does; one registry per service, so that two in a process do not mix."""

    def __init__(self, queue: AdmissionQueue) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "imagescope_requests_total", "Finished requests", ["route", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "imagescope_step_seconds",
            "Seconds a step took",
            ["step"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter("imagescope_model_calls_total", "Model calls", ["role"], registry=self.registry)
        self._tokens = Counter("imagescope_tokens_total", "Tokens", ["kind"], registry=self.registry)
        self._notes = Counter(
            "imagescope_notes_total", "Notes of results", ["step", "kind"], registry=self.registry
        )
        self._reloads = Counter(
            "imagescope_reloads_total", "Newer indices", ["outcome"], registry=self.registry
        )
        waiting = Gauge("imagescope_requests_admitted", "Requests that run or wait", registry=self.registry)
        waiting.set_function(lambda: queue.admitted)

    def watch_models(self, models: Callable[[], Iterable[object]]) -> None:
        """Count what the models in this process did, where they tell it; asked when the metrics are."""
        self.registry.register(_Engines(models))

    def finished(self, request: Request, outcome: str) -> None:
        """Count a request by its route and by how it ended: "ok" or the type of its error.

        Never by its path, which names images and has no end of values.
        """
        route = getattr(request.scope.get("route"), "path", "other")
        self._requests.labels(route, outcome).inc()

    def reloaded(self, outcome: str) -> None:
        """Count a newer index: "ok", or "failed" where the one before stays in use."""
        self._reloads.labels(outcome).inc()

    def searched(self, usage: Mapping[str, Any], notes: list[Mapping[str, str]]) -> None:
        """Count what a search cost and which of its answers were degraded."""
        for step, seconds in usage.get("seconds", {}).items():
            self._seconds.labels(step).observe(seconds)
        for role, calls in usage.get("calls", {}).items():
            self._calls.labels(role).inc(calls)
        for kind in ("prompt_tokens", "completion_tokens", "image_prefills"):
            self._tokens.labels(kind).inc(usage.get(kind, 0))
        for each in notes:
            self._notes.labels(each["step"], each["kind"]).inc()

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Engines(Collector):
    """What hosted models encoded, and what their caches spared."""

    def __init__(self, models: Callable[[], Iterable[object]]) -> None:
        self._models = models

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters as they are now."""
        every = {id(model): model for model in self._models()}.values()
        told = [found for model in every if (found := getattr(model, "stats", lambda: None)()) is not None]
        yield CounterMetricFamily(
            "imagescope_encoder_cache_hits",
            "Images that needed no vision encoder",
            value=sum(each.cache_hits for each in told),
        )
        yield CounterMetricFamily(
            "imagescope_encoded_images",
            "Images that the vision encoders read",
            value=sum(each.image_prefills for each in told),
        )

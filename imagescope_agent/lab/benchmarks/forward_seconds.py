"""Processor time inside a local model's forwards: language model, output head, vision encoder, embedder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from unittest.mock import patch

from imagescope_agent.mllms.engine.decoding.continuous_batching import Decoder
from imagescope_agent.mllms.engine.families import FAMILIES
from imagescope_agent.mllms.engine.model_runner import ModelRunner
from imagescope_agent.registry import resolve
from imagescope_agent.retrieval.embedders.late import LateEmbedder


@dataclass(kw_only=True)
class ForwardSeconds:
    """Processor seconds inside forwards, and how many forwards decoded replies."""

    seconds: float = 0.0
    decode_steps: int = 0


@contextmanager
def forward_seconds() -> Iterator[ForwardSeconds]:
    """Measure all local models of the process; exact while one search runs at a time."""
    spent = ForwardSeconds()
    depth = 0

    def timed(inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def call(*given: Any, **named: Any) -> Any:
            nonlocal depth
            start, depth = time.process_time(), depth + 1
            try:
                return inner(*given, **named)
            finally:
                depth -= 1
                if not depth:  # what is called inside a measured call is in its time
                    spent.seconds += time.process_time() - start

        return call

    def counted(inner: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(inner)
        def call(*given: Any, **named: Any) -> Any:
            spent.decode_steps += 1
            return inner(*given, **named)

        return call

    places: list[tuple[Any, str]] = [(ModelRunner, name) for name in ("hidden", "logits", "label_logits")]
    places += [(LateEmbedder, name) for name in ("images", "texts")]
    families = {resolve(name, FAMILIES, kind="model family") for name in FAMILIES}
    places += [(family, "_forward") for family in families if "_forward" in vars(family)]
    with ExitStack() as stack:
        for owner, name in places:
            stack.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        stack.enter_context(patch.object(Decoder, "_forward", counted(Decoder._forward)))
        yield spent

"""Counts of what passes through a checkpoint's language model and vision tower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from imagescope_agent.mllms.engine.checkpoint import Checkpoint


@dataclass(kw_only=True)
class ForwardCounts:
    """Forward passes of the language model, their tokens, and images and patches of the vision tower."""

    forwards: int = 0
    tokens: int = 0
    image_prefills: int = 0
    patches: int = 0


@contextmanager
def counting(checkpoint: Checkpoint) -> Iterator[ForwardCounts]:
    """Count what passes through the language model and the vision tower, whichever way they are called."""
    counts = ForwardCounts()
    inner = checkpoint.model.model
    plain = getattr(inner, "get_image_features", None)

    def forward(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        counts.forwards += 1
        counts.tokens += int(kwargs["inputs_embeds"].shape[0] * kwargs["inputs_embeds"].shape[1])

    @wraps(plain or forward)  # transformers reads its signature
    def see(*args: Any, **kwargs: Any) -> Any:
        made = plain(*args, **kwargs)  # type: ignore[misc]
        pooled = getattr(made, "pooler_output", made)
        counts.image_prefills += len(pooled)
        counts.patches += len(args[0] if args else kwargs["pixel_values"])
        return made

    handle = checkpoint.language_model.register_forward_pre_hook(forward, with_kwargs=True)
    if plain is not None:
        inner.get_image_features = see
    try:
        yield counts
    finally:
        handle.remove()
        if plain is not None:
            del inner.get_image_features

"""Text towers that were tuned for composed queries: low-rank changes to the weights (LoRA, arXiv 2106.09685).

A file of changes holds, for each changed weight W, `W.down` (r, in) and `W.up` (out, r): W becomes W + up down.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from imagescope_agent.errors import BadInput
from imagescope_agent.retrieval.embedders.network_files import damaged
from imagescope_agent.retrieval.protocols import Embedder

DOWN, UP = ".down", ".up"


def own_text(embedder: Embedder) -> Any:
    """The embedder again, with a copy of its text tower that may be changed; what embeds pictures is shared.

    Returns:
        an embedder with `model`, an open_clip model.

    Raises:
        BadInput: pictures and texts pass the same weights.
    """
    if (copied := getattr(embedder, "with_own_text", None)) is None:
        raise BadInput(
            f"a {type(embedder).__name__} has no text tower of its own to tune; leave --tune-text away, or choose an "
            "open_clip embedder"
        )
    return copied()


def with_tuned_text(embedder: Embedder, changes: Mapping[str, torch.Tensor], path: Path) -> Any:
    """The embedder again, whose texts are read by a tuned tower.

    Args:
        embedder: whose tower was tuned.
        changes: as above.
        path: where they are from, for messages.

    Raises:
        BadInput: the changes are not to weights of its text tower.
    """
    tuned = own_text(embedder)
    weights = {name: value for name, value in tuned.model.named_parameters() if is_text(name)}
    try:
        for name in {name.removesuffix(DOWN).removesuffix(UP) for name in changes}:
            change = changes[name + UP] @ changes[name + DOWN]
            if change.shape != weights[name].shape:
                raise ValueError(f"{name} has another shape")
            with torch.no_grad():
                weights[name].add_(change.to(weights[name].device))
    except (KeyError, RuntimeError, ValueError) as error:
        raise damaged(path, error) from error
    return tuned


def is_text(name: str) -> bool:
    """Whether a parameter or module of an open_clip model belongs to its text tower."""
    return not name.startswith("visual.") and name not in ("visual", "logit_scale", "logit_bias")

"""Hidden states of an open_clip model's towers, by open_clip's own `forward_intermediates`.

A tower that open_clip cannot look into (a text tower of transformers) is read as one token, its vector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from imagescope_agent.retrieval.embedders.tokens import GRID, Tokens, single


def image_tokens(model: Any, pixels: torch.Tensor) -> Tokens:
    """Preprocessed pictures (n, 3, s, s) -> their vectors, and the last layer's patches averaged to `GRID` x `GRID`."""
    if not hasattr(model.visual, "forward_intermediates"):
        return single(functional.normalize(model.encode_image(pixels).float(), dim=1).cpu())
    given = model.visual.forward_intermediates(
        pixels, indices=1, normalize_intermediates=True, output_fmt="NCHW"
    )
    states = functional.adaptive_avg_pool2d(given["image_intermediates"][-1].float(), GRID)
    states = states.flatten(2).transpose(1, 2)
    if isinstance(projection := getattr(model.visual, "proj", None), torch.Tensor):
        states = states @ projection.float()  # into the space of the vectors
    return Tokens(
        vectors=functional.normalize(given["image_features"].float(), dim=1).cpu(),
        states=states.cpu(),
        padding=torch.zeros(states.shape[:2], dtype=torch.bool),
    )


def text_tokens(model: Any, ids: torch.Tensor, pad: int) -> Tokens:
    """Token ids (n, context), padded on the right with `pad` -> the texts' vectors and the last layer's states."""
    lengths = 1 + (ids != pad).long().mul(torch.arange(ids.shape[1], device=ids.device)).argmax(dim=1)
    longest = int(lengths.max()) if len(ids) else 0
    try:
        given = model.forward_intermediates(
            text=ids, text_indices=1, normalize_intermediates=True, normalize=False
        )
    except AttributeError:  # a text tower of transformers
        return single(functional.normalize(model.encode_text(ids).float(), dim=1).cpu())
    padding = torch.arange(longest, device=ids.device)[None] >= lengths[:, None]
    return Tokens(
        vectors=functional.normalize(given["text_features"].float(), dim=1).cpu(),
        states=given["text_intermediates"][-1][:, :longest].float().cpu(),
        padding=padding.cpu(),
    )

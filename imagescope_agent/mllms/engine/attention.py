"""Reading attention: what the text of a prompt attends to in its pictures, taken down while one forward passes.

Kernels do not give their weights away. So the queries and keys of the text are multiplied once more beside the kernel,
layer by layer; only the rows of the text are, and nothing of length x length is ever held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.engine.backend import Backend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.prefix_batching import pack, score
from imagescope_agent.mllms.engine.shared_prefix_backend import SharedPrefixBackend
from imagescope_agent.mllms.protocols import Attention

KERNEL = "imagescope_read"
_READER = threading.local()
_ONE = (
    threading.Lock()
)  # the kernel's name stands in the configuration, which engines of one checkpoint share


class Reading:
    """The attention of the last tokens of one prompt, summed over heads and layers.

    Args:
        start: first of those tokens.
        columns: places that are attended to, (n,).
    """

    def __init__(self, start: int, columns: torch.Tensor) -> None:
        self.start, self.columns = start, columns
        self.total = torch.zeros(len(columns), device=columns.device)
        self.layers = 0

    def add(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> None:
        """One layer: query (1, heads, length, width), key (1, groups, length, width), mask (1, 1, length, length)."""
        keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = query[:, :, self.start :] @ keys.transpose(2, 3) * scaling
        weights = (scores + mask[:, :, self.start :]).softmax(dim=-1, dtype=torch.float32)
        self.total += weights[0, :, :, self.columns].mean(dim=1).sum(dim=0)
        self.layers += 1


def attention_of(checkpoint: Checkpoint, desk: Backend, conversation: Conversation) -> Attention:
    """See `protocols.AttentionReader`; every token after the last picture counts as text.

    Raises:
        BadInput: a conversation that cannot be asked, or a family that is not read.
        BackendUnavailable: it does not fit into memory.
    """
    start = time.perf_counter()
    if not isinstance(desk, SharedPrefixBackend):
        raise BadInput(
            f"the attention of the family {checkpoint.family!r} cannot be read; choose another judge"
        )
    prepared = desk.family.prepare([conversation])
    prompt = prepared.prompts[0]
    if isinstance(prompt, BadInput):
        raise prompt
    sizes = desk.family.sizes(conversation)
    columns = np.flatnonzero(prompt.ids == desk.family.image_token)
    if sum(sizes) != len(columns):
        raise BadInput(
            f"the family {checkpoint.family!r} mixes the pictures of a prompt; choose another judge"
        )
    reading = Reading(prompt.prefix, desk.network.tensor(columns))
    try:
        with _reading(checkpoint, reading):
            score(desk.network, pack([prompt], share=False, row_tokens=0), prepared.features)
    except torch.OutOfMemoryError as error:
        raise BackendUnavailable("the prompt does not fit into memory; judge fewer pictures") from error
    if not reading.layers:
        raise BadInput(
            f"the attention of the family {checkpoint.family!r} cannot be read; choose another judge"
        )
    usage = {
        "calls": 1,
        "prompt_tokens": len(prompt.ids),
        "completion_tokens": 0,
        "image_prefills": len(prepared.fresh),
        "seconds": time.perf_counter() - start,
    }
    return Attention(pictures=[each.tolist() for each in reading.total.cpu().split(sizes)], usage=usage)


@contextmanager
def _reading(checkpoint: Checkpoint, reading: Reading) -> Iterator[None]:
    """Whatever this thread passes through the language model meanwhile is read."""
    config = checkpoint.language_model.config
    with _ONE:
        before = config._attn_implementation
        config._attn_implementation, _READER.reading = KERNEL, reading
        try:
            yield
        finally:
            config._attn_implementation, _READER.reading = before, None


def _kernel(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **options: Any
) -> Any:
    """The usual kernel; other threads may come by, and are not read."""
    reading = getattr(_READER, "reading", None)
    if reading is not None:
        scaling = options.get("scaling")
        reading.add(query, key, mask, query.shape[-1] ** -0.5 if scaling is None else scaling)
    return sdpa_attention_forward(module, query, key, value, mask, **options)


AttentionInterface.register(KERNEL, _kernel)

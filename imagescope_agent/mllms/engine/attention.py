"""Attention maps: how much the text of a prompt attends to its images, recorded during one forward.

Fused kernels do not return attention weights, so the queries and keys of the text are multiplied once more beside the
kernel, layer by layer; only for the rows of the text, so nothing of length x length is allocated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.attention_heads import foreign_heads, read_heads
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.backends.prefix_batching import forward_rows, pack
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.checkpoint_files import hash_of
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.families.base import Prompt
from imagescope_agent.mllms.engine.recovery import does_not_fit
from imagescope_agent.mllms.protocols import Attention
from imagescope_agent.usage import Usage

KERNEL = "imagescope_recording"
_CURRENT = threading.local()
_LOCK = threading.Lock()  # the kernel's name is set in the configuration, which engines of a checkpoint share


class AttentionRecorder:
    """Attention of the last tokens of one prompt, by layer and head.

    Args:
        start: first of those tokens.
        columns: indices of the attended tokens, (n,).

    Attributes:
        layers: (heads, n) of each, averaged over the last tokens.
    """

    def __init__(self, start: int, columns: torch.Tensor) -> None:
        self.start, self.columns = start, columns
        self.layers: list[torch.Tensor] = []

    def add(self, query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> None:
        """One layer: query (1, heads, length, width), key (1, groups, length, width), mask (1, 1, length, length)."""
        keys = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
        scores = query[:, :, self.start :] @ keys.transpose(2, 3) * scaling
        weights = (scores + mask[:, :, self.start :]).softmax(dim=-1, dtype=torch.float32)
        self.layers.append(weights[0, :, :, self.columns].mean(dim=1))

    def total(
        self, heads: Sequence[tuple[int, int]] | None = None, worth: Sequence[float] = ()
    ) -> torch.Tensor:
        """(n,), summed over some (layer, head), each times its worth if it has one, or over all.

        Raises:
            BadInput: the model has no such head.
        """
        if heads is None:
            return torch.stack([each.sum(dim=0) for each in self.layers]).sum(dim=0)
        try:
            rows = torch.stack([self.layers[layer][head] for layer, head in heads])
        except IndexError:
            raise foreign_heads() from None
        return (rows * rows.new_tensor(worth or [1.0] * len(heads))[:, None]).sum(dim=0)


def read_attention(
    checkpoint: Checkpoint, backend: Backend, conversation: Conversation, *, each_head: bool = False
) -> Attention:
    """See `protocols.AttentionReader`; the tokens of the last text count, as those of the question.

    Raises:
        BadInput: the conversation is refused, or the model's attention cannot be read.
        UnusableModel: it does not fit into memory.
    """
    start, family = time.perf_counter(), checkpoint.model_type
    unreadable = BadInput(f"the attention of the family {family!r} cannot be read; choose another judge")
    if not isinstance(backend, SharedPrefixBackend):
        raise unreadable
    prepared = backend.family.prepare([conversation])
    (prompt,) = prepared.require_prompts()
    pictures, after = _tokens_of(backend, conversation, prompt, unmixed=family)
    question = max(prompt.prefix, after[-1].stop if after else 0)
    columns = np.concatenate(
        [np.empty(0, np.int64), *pictures, *(np.arange(each.start, each.stop) for each in after)]
    )
    recorder = AttentionRecorder(min(question, len(prompt.ids) - 1), backend.runner.tensor(columns))
    try:
        with _recording(checkpoint, recorder):
            forward_rows(backend.runner, pack([prompt], share=False, row_tokens=0), prepared.features)
    except torch.OutOfMemoryError as error:
        raise does_not_fit("question") from error
    if not recorder.layers:
        raise unreadable
    usage = Usage(
        calls=1,
        prompt_tokens=len(prompt.ids),
        image_prefills=len(prepared.encoded),
        seconds=time.perf_counter() - start,
    )
    sizes = [*map(len, pictures), *map(len, after)]
    return _told(checkpoint, recorder, sizes, usage, each_head=each_head)


def _tokens_of(
    backend: SharedPrefixBackend, conversation: Conversation, prompt: Prompt, *, unmixed: str
) -> tuple[list[NDArray[np.int64]], list[range]]:
    """The tokens of each image, and those from each to the next one, or to the question that ends the conversation.

    Raises:
        BadInput: the tokens of the images cannot be told apart.
    """
    sizes = backend.family.image_sizes(conversation)
    columns = np.flatnonzero(prompt.ids == backend.family.image_token)
    if sum(sizes) != len(columns):
        raise BadInput(f"the family {unmixed!r} mixes the pictures of a prompt; choose another judge")
    pictures = np.split(columns, np.cumsum(sizes)[:-1]) if sizes else []
    first = [int(each[0]) for each in pictures[1:]]
    ends = [*first, _question(backend, conversation, prompt)] if pictures else []
    return pictures, [range(int(each[-1]) + 1, end) for each, end in zip(pictures, ends, strict=True)]


def _question(backend: SharedPrefixBackend, conversation: Conversation, prompt: Prompt) -> int:
    """Where the last text of the conversation begins: texts before it belong to the last image."""
    role, parts = conversation.turns[-1]
    if len(parts) < 2 or not parts[-1]:
        return prompt.prefix
    turns = (*conversation.turns[:-1], (role, parts[:-1]))
    (without,) = backend.family.prepare([replace(conversation, turns=turns)]).require_prompts()
    most = min(len(without.ids), len(prompt.ids))
    differs = np.flatnonzero(without.ids[:most] != prompt.ids[:most])
    return max(prompt.prefix, int(differs[0]) if len(differs) else most)


def _told(
    checkpoint: Checkpoint,
    recorder: AttentionRecorder,
    sizes: Sequence[int],
    usage: Usage,
    *,
    each_head: bool,
) -> Attention:
    """What was recorded, by image: the first half of the sizes is of its tokens, the second of those after it."""
    card, images = read_heads(checkpoint.folder), len(sizes) // 2
    if card is not None and card.weights not in (None, hash_of(checkpoint.config)):
        raise foreign_heads()

    def split(values: torch.Tensor) -> tuple[list[list[float]], list[float]]:
        parts = [each.tolist() for each in values.cpu().split([*sizes])]
        return parts[:images], [sum(each) for each in parts[images:]]

    every = [[split(head) for head in layer] for layer in recorder.layers] if each_head else None
    chosen = None if card is None else split(recorder.total(card.heads, card.worth))
    return Attention(
        pictures=split(recorder.total())[0],
        chosen=chosen and chosen[0],
        log_odds=card is not None and bool(card.worth),
        after=chosen[1] if images and chosen and card and card.after else None,
        heads=None if every is None else [[head for head, _ in layer] for layer in every],
        heads_after=None if every is None else [[after for _, after in layer] for layer in every],
        usage={**usage.to_dict()},
    )


@contextmanager
def _recording(checkpoint: Checkpoint, recorder: AttentionRecorder) -> Iterator[None]:
    """Record the forwards of this thread meanwhile."""
    config = checkpoint.language_model.config
    with _LOCK:
        before = config._attn_implementation
        config._attn_implementation, _CURRENT.recorder = KERNEL, recorder
        try:
            yield
        finally:
            config._attn_implementation, _CURRENT.recorder = before, None


def _kernel(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **options: Any
) -> Any:
    """SDPA, recorded where this thread has a recorder."""
    recorder = getattr(_CURRENT, "recorder", None)
    if recorder is not None:
        scaling = options.get("scaling")
        recorder.add(query, key, mask, query.shape[-1] ** -0.5 if scaling is None else scaling)
    return sdpa_attention_forward(module, query, key, value, mask, **options)


AttentionInterface.register(KERNEL, _kernel)

"""Embeddings of conversations: the last layer's hidden state at the last token of each prompt."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.backends.prefix_batching import PackedRow
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.families.base import Prompt, text_positions
from imagescope_agent.mllms.protocols import Embedding
from imagescope_agent.usage import Usage

#: What a folder holds beside the weights if they were trained to embed: sentence-transformers' list of modules.
EMBEDDER_FILES = ("modules.json",)


def embed_conversations(
    checkpoint: Checkpoint,
    backend: Backend,
    conversations: Sequence[Conversation],
    *,
    token: int | None = None,
) -> Embedding:
    """See `protocols.MessageEmbedder`.

    Args:
        checkpoint: the model.
        backend: that runs it.
        conversations: to embed.
        token: added at the end of each prompt, whose state is read then; None for the prompt's own last token.

    Raises:
        BadInput: a conversation is refused, or the model's hidden states cannot be read.
        UnusableModel: not even one conversation fits into memory.
    """
    start = time.perf_counter()
    if not isinstance(backend, SharedPrefixBackend):
        raise BadInput(
            f"the family {checkpoint.model_type!r} cannot be asked for vectors; choose another judge"
        )
    prepared = backend.family.prepare(conversations)
    prompts = prepared.require_prompts()
    rows = backend.pack([_ended(checkpoint, prompt, token) for prompt in prompts])
    vectors = _last_states(backend, rows, prepared.features)
    usage = Usage(
        calls=len(prompts),
        prompt_tokens=sum(row.length for row in rows),
        image_prefills=len(prepared.encoded),
        seconds=time.perf_counter() - start,
    )
    return Embedding(
        vectors=[vectors[index] for index in range(len(prompts))],
        usage={**usage.to_dict()},
        trained=any((checkpoint.folder / name).exists() for name in EMBEDDER_FILES),
    )


def _last_states(
    backend: SharedPrefixBackend, rows: Sequence[PackedRow], features: Mapping[str, EncoderOutput]
) -> dict[int, list[float]]:
    """The state at the end of each prompt, by its number."""
    found: dict[int, list[float]] = {}
    for _, (hidden, answers) in backend.forward(rows, features):
        for vector, indices in zip(hidden.float().tolist(), answers, strict=True):
            found.update((index, vector) for index in indices)
    return found


def _ended(checkpoint: Checkpoint, prompt: Prompt, token: int | None) -> Prompt:
    """The prompt with one more token, if any.

    Raises:
        RequestRefused: it is longer than the model reads.
    """
    if token is None:
        return prompt
    checkpoint.check_length(len(prompt.ids) + 1)
    last = text_positions(prompt.next_position, 1, len(prompt.positions))
    return replace(
        prompt, ids=np.append(prompt.ids, token), positions=np.concatenate([prompt.positions, last], axis=1)
    )

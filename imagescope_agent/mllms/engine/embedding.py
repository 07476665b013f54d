"""Conversations as vectors: the last layer's state at the last token of each prompt, prefixes shared."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from imagescope_agent.errors import BackendUnavailable, BadInput
from imagescope_agent.mllms.engine.backend import Backend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.config import EngineConfig
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.engine.prefix_batching import batches, pack, score
from imagescope_agent.mllms.engine.prompt import Prompt
from imagescope_agent.mllms.engine.shared_prefix_backend import SharedPrefixBackend
from imagescope_agent.mllms.protocols import Embedding


def embedding_of(
    checkpoint: Checkpoint, desk: Backend, limits: EngineConfig, conversations: Sequence[Conversation]
) -> Embedding:
    """See `protocols.MessageEmbedder`.

    Raises:
        BadInput: a conversation that cannot be asked, or a family whose states are not read.
        BackendUnavailable: a batch does not fit into memory.
    """
    start = time.perf_counter()
    if not isinstance(desk, SharedPrefixBackend):
        raise BadInput(f"the family {checkpoint.family!r} cannot be asked for vectors; choose another judge")
    prepared = desk.family.prepare(conversations)
    prompts: list[Prompt] = []
    for prompt in prepared.prompts:
        if isinstance(prompt, BadInput):
            raise prompt
        prompts.append(prompt)
    rows = pack(prompts, share=limits.share, row_tokens=limits.row_tokens)
    vectors: dict[int, list[float]] = {}
    try:
        for batch in batches(rows, batch_tokens=limits.batch_tokens):
            hidden, places = score(desk.network, batch, prepared.features)
            for vector, answered in zip(hidden.float().tolist(), places, strict=True):
                vectors.update((place, vector) for place in answered)
    except torch.OutOfMemoryError as error:
        raise BackendUnavailable("the prompts do not fit into memory; judge fewer pictures") from error
    usage = {
        "calls": len(prompts),
        "prompt_tokens": sum(row.length for row in rows),
        "completion_tokens": 0,
        "image_prefills": len(prepared.fresh),
        "seconds": time.perf_counter() - start,
    }
    return Embedding(vectors=[vectors[place] for place in range(len(prompts))], usage=usage)

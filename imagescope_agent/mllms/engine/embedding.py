"""Embeddings of conversations: the last layer's hidden state at the last token of each prompt."""

from __future__ import annotations

import time
from collections.abc import Sequence

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.engine.backends.base import Backend
from imagescope_agent.mllms.engine.backends.shared_prefix import SharedPrefixBackend
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation
from imagescope_agent.mllms.protocols import Embedding
from imagescope_agent.usage import Usage

#: What a folder holds beside the weights if they were trained to embed: sentence-transformers' list of modules.
EMBEDDER_FILES = ("modules.json",)


def embed_conversations(
    checkpoint: Checkpoint, backend: Backend, conversations: Sequence[Conversation]
) -> Embedding:
    """See `protocols.MessageEmbedder`.

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
    rows = backend.pack(prompts)
    vectors: dict[int, list[float]] = {}
    for _, (hidden, answers) in backend.forward(rows, prepared.features):
        for vector, indices in zip(hidden.float().tolist(), answers, strict=True):
            vectors.update((index, vector) for index in indices)
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

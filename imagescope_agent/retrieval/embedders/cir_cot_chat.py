"""The chat model of CIR-CoT (arXiv 2510.08003) that embeds conversations, at the token that it was trained with."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from imagescope_agent.errors import BadInput
from imagescope_agent.mllms.protocols import Embedding
from imagescope_agent.mllms.transformers_chat import TransformersChat
from imagescope_agent.retrieval.embedders.cir_cot import CotEmbedder, load_projection
from imagescope_agent.retrieval.vectors import unit_rows

if TYPE_CHECKING:
    import torch

    from imagescope_agent.mllms.engine.conversation import Conversation
    from imagescope_agent.mllms.engine.engine import Engine


class CotChat(TransformersChat):
    """A checkpoint that `imagescope train cir-cot` wrote, as a chat model.

    Attributes:
        query_step: the prompt whose words its queries are embedded in.
    """

    query_step: ClassVar[str] = "reason"
    _loaded: torch.Tensor | None = PrivateAttr(default=None)

    async def aembed(self, messages: list[list[BaseMessage]]) -> Embedding:
        """The vector of each conversation: unit length, in the space of the model's vectors of pictures and queries.

        Raises:
            BadInput: a conversation is refused, or the model is damaged.
            BackendUnavailable: the weights cannot be loaded.
        """
        engine = await self._aengine()
        task = engine.run_task(lambda backend, parsed: self._embedded(engine, backend, parsed), messages)
        return await asyncio.wrap_future(task)

    def _embedded(self, engine: Engine, backend: Any, conversations: Sequence[Conversation]) -> Embedding:
        from imagescope_agent.mllms.engine.embed_token import embed_token_id
        from imagescope_agent.mllms.engine.embedding import embed_conversations

        projection = self._projection(engine)
        token = embed_token_id(engine.checkpoint)
        if token < 0:
            raise BadInput(
                f"the model in {self.checkpoint!r} is damaged: it has no token to embed at; train or fetch it again"
            )
        found = embed_conversations(engine.checkpoint, backend, conversations, token=token)
        states = np.asarray(found.vectors, dtype=np.float32)
        vectors = unit_rows(states @ projection.cpu().numpy().T)
        return Embedding(vectors=vectors.tolist(), usage=found.usage, trained=True)

    def _projection(self, engine: Engine) -> torch.Tensor:
        """The projection of the states; that it, the card and the weights belong together is checked."""
        if self._loaded is None:
            folder = Path(self.checkpoint)
            dimension = CotEmbedder(folder, device=self.device).dimension
            self._loaded = load_projection(folder, engine.checkpoint.model, dimension)
        return self._loaded

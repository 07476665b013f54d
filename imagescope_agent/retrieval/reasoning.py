"""Embedders that are chat models too, and think before they embed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from langchain_core.language_models import BaseChatModel
from PIL import Image

from imagescope_agent.retrieval.protocols import Composer, Embedder
from imagescope_agent.retrieval.vectors import Vectors


@runtime_checkable
class ReasoningEmbedder(Embedder, Composer, Protocol):
    """An embedder that is a chat model too: it can write a chain of thought before it embeds (CIR-CoT).

    Attributes:
        chat_model: writes the chains, with the same weights.
        prompt_set: whose words it is asked in, None for the general ones.
        threshold: lead of the first image over the second, without a chain, below which one should help.
    """

    prompt_set: str | None
    threshold: float

    @property
    def chat_model(self) -> BaseChatModel:
        """Writes the chains."""

    def reasoned(
        self, images: Sequence[Image.Image | None], texts: Sequence[str], chains: Sequence[str]
    ) -> Vectors:
        """Queries -> (n, d) float32, unit length.

        Args:
            images: the references; None where words alone are asked.
            texts: what the user says.
            chains: what was thought about each (`replies.chains`); "" for nothing.
        """

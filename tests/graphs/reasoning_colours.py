"""An embedder of colours that thinks before it embeds: the chain decides the vector where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.mllms.scripted import Scripted
from tests.conftest import ColourEmbedder

CHAIN = "<caption>a red square<steps>Modification: the square is blue<conclusion>a blue square"


class ReasoningColours(ColourEmbedder):
    """As `ColourEmbedder`; words alone are embedded as they stand, and a chain by its conclusion.

    Args:
        reply: what its chat model writes.
        threshold: see `ReasoningEmbedder`.
    """

    prompt_set: str | None = None

    def __init__(self, reply: Any = CHAIN, threshold: float = 0.0) -> None:
        self.chat_model, self.threshold = Scripted(reply), threshold
        self.chains: list[str] = []

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> np.ndarray:
        return self.reasoned(images, texts, [""] * len(texts))

    def reasoned(
        self, images: Sequence[Image.Image | None], texts: Sequence[str], chains: Sequence[str]
    ) -> np.ndarray:
        self.chains += chains
        said = [
            chain.rpartition("<conclusion>")[2] or text for text, chain in zip(texts, chains, strict=True)
        ]
        return self.texts(said)

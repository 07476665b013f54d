"""A multimodal chat model trained to embed, behind the `Embedder` protocol (Qwen3-VL-Embedding, arXiv 2601.04720).

The checkpoint is asked as a chat model is: an instruction as the system's turn, then a picture, a text, or
both. The last hidden state of the last token, at unit length, is the vector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from imagescope_agent.mllms.engine.chat_template import escape_control_tokens
from imagescope_agent.mllms.engine.checkpoint import open_checkpoint, to_device
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.mllms.engine.conversation import pad_to_aspect_limit
from imagescope_agent.retrieval.vectors import Vectors, unit_rows

INSTRUCTION = "Represent the user's input."
BATCH = 8


def open_model(place: str, *, device: str | None = None) -> MultimodalEmbedder:
    """A folder, or `OWNER/REPO[@REVISION]`; raises as `open_embedder`."""
    checkpoint, _, revision = place.partition("@")
    source = ModelConfig(checkpoint=checkpoint, revision=revision or None, device=device or "auto")
    return MultimodalEmbedder(source)


class MultimodalEmbedder:
    """Pictures, texts, and both together as one query, in one space.

    Args:
        config: a folder in the format of an image-text-to-text model with a chat template, or a hub id.
        instruction: the system's turn; part of what decides the vectors.

    Raises:
        BackendUnavailable: the checkpoint cannot be loaded.
    """

    def __init__(self, config: ModelConfig, *, instruction: str = INSTRUCTION, batch: int = BATCH) -> None:
        self._checkpoint = open_checkpoint(config)
        self._special = self._checkpoint.control_tokens
        self._instruction = instruction
        self._batch = batch
        self.dimension = int(self._checkpoint.model.config.get_text_config().hidden_size)
        decisive = f"{self._checkpoint.weights} {self._checkpoint.dtype} {instruction}"
        self.weights = hashlib.sha256(decisive.encode()).hexdigest()

    def images(self, images: Sequence[Image.Image]) -> Vectors:
        """RGB pictures -> (n, d) float32, unit length."""
        return self._embed([(image, None) for image in images])

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts -> (n, d) float32, unit length."""
        return self._embed([(None, text) for text in texts])

    def compose(self, images: Sequence[Image.Image], texts: Sequence[str]) -> Vectors:
        """Each picture with what to change in it, as one query: (n, d) float32, unit length."""
        return self._embed(list(zip(images, texts, strict=True)))

    def _embed(self, pairs: Sequence[tuple[Image.Image | None, str | None]]) -> Vectors:
        # a batch holds as many pictures in every row: processors want that
        rows = [
            self._states(pairs[start : start + self._batch]) for start in range(0, len(pairs), self._batch)
        ]
        return unit_rows(np.concatenate(rows)) if rows else np.zeros((0, self.dimension), np.float32)

    def _states(self, pairs: Sequence[tuple[Image.Image | None, str | None]]) -> Vectors:
        import torch

        checkpoint = self._checkpoint
        pairs = [(None if image is None else pad_to_aspect_limit(image), text) for image, text in pairs]
        inputs = checkpoint.apply_template(
            [self._chat(image, text) for image, text in pairs],
            [[] if image is None else [image] for image, _ in pairs],
        )
        checkpoint.check_length(inputs["input_ids"].shape[1])
        tensors = to_device(checkpoint, inputs)
        with torch.inference_mode():
            states = checkpoint.model.model(**tensors).last_hidden_state[:, -1]  # padding is on the left
        rows: Vectors = states.float().cpu().numpy()
        return rows

    def _chat(self, image: Image.Image | None, text: str | None) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = [] if image is None else [{"type": "image", "image": image}]
        said = [] if text is None else [{"type": "text", "text": escape_control_tokens(text, self._special)}]
        system = [{"type": "text", "text": self._instruction}]
        return [{"role": "system", "content": system}, {"role": "user", "content": [*shown, *said]}]

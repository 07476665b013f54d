"""One forward of a language model over token, position and mask arrays made elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderOutput
from imagescope_agent.mllms.engine.checkpoint import Checkpoint


class ModelRunner:
    """The language model of a checkpoint; picture tokens are replaced by features before its first layer.

    Args:
        axes: of its positions.
        image_token: id of the tokens to replace.
    """

    def __init__(self, checkpoint: Checkpoint, *, axes: int, image_token: int) -> None:
        self.device = checkpoint.device
        self.axes = axes
        self.pad = checkpoint.tokenizer.pad_token_id or 0
        self._image_token = image_token
        self._config = checkpoint.model.config.get_text_config()
        self._embed = checkpoint.model.get_input_embeddings()
        self._layers = checkpoint.language_model
        self._head = checkpoint.model.get_output_embeddings()
        self._last = _LastLayer(self._layers.layers[-1])
        self.forwards = 0
        self.tokens = 0

    def new_cache(self) -> Any:
        """Empty keys and values."""
        return DynamicCache(config=self._config)

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """The array on the model's device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def hidden(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        features: Sequence[EncoderOutput] = (),
        cache: Any = None,
        *,
        read: torch.Tensor,
    ) -> torch.Tensor:
        """Last hidden states of the tokens that are read, (n, width).

        Args:
            ids: (batch, length).
            positions: (axes, batch, length).
            mask: (batch, 1, length, seen) bool, True where a token attends; no row may be all False.
            features: of the pictures in the order of their tokens, row by row.
            cache: keys and values seen before; grows.
            read: (2, n), row and place of each token whose state is wanted.
        """
        embeds, options = self._embedded(ids, features)
        # as numbers once, or every layer would turn it into numbers for itself
        bias = torch.zeros(mask.shape, dtype=embeds.dtype, device=self.device).masked_fill_(~mask, -torch.inf)
        self.forwards += 1
        self.tokens += ids.numel()
        with self._last.only(read):
            made = self._layers(
                inputs_embeds=embeds,
                position_ids=positions if self.axes > 1 else positions[0],
                attention_mask=bias,
                past_key_values=cache,
                use_cache=cache is not None,
                **options,
            )
        hidden: torch.Tensor = made.last_hidden_state[read[0], read[1]]
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, (n, vocabulary), float32."""
        scores: torch.Tensor = self._head(hidden)
        return scores.float()

    def label_logits(self, hidden: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """Scores of some next tokens only, (n, labels), float32."""
        chosen = list(labels)
        bias = None if self._head.bias is None else self._head.bias[chosen]
        return torch.nn.functional.linear(hidden, self._head.weight[chosen], bias).float()

    def _embedded(
        self, ids: torch.Tensor, features: Sequence[EncoderOutput]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The first layer's input, (batch, length, width), and what later layers are given of the pictures."""
        embeds = self._embed(ids)
        options: dict[str, Any] = {}
        if features:
            places = ids == self._image_token
            embeds = embeds.masked_scatter(
                places[..., None], torch.cat([each.embeds for each in features]).to(embeds)
            )
            if deep := range(len(features[0].deep)):
                options["visual_pos_masks"] = places
                options["deepstack_visual_embeds"] = [
                    torch.cat([each.deep[layer] for each in features]) for layer in deep
                ]
        return embeds, options


class _LastLayer:
    """Lets only tokens that are read through the last layer's feed-forward part; nothing follows the others."""

    def __init__(self, layer: Any) -> None:
        # engines of one checkpoint share its layers and work in threads of their own
        self._now = threading.local()
        feed_forward: Any = getattr(layer, "mlp", None)
        if type(feed_forward).__name__.endswith("MLP"):  # experts are left alone
            feed_forward.register_forward_pre_hook(self._pick)
            feed_forward.register_forward_hook(self._put)

    @contextmanager
    def only(self, read: torch.Tensor) -> Iterator[None]:
        """Whatever this thread passes through the layer meanwhile is cut to the tokens (2, n)."""
        self._now.read = read
        try:
            yield
        finally:
            self._now.read = None

    def _pick(self, _: Any, given: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        read = getattr(self._now, "read", None)
        if read is None:
            return None
        self._now.shape = given[0].shape
        return (given[0][read[0], read[1]],)

    def _put(self, _: Any, __: Any, made: torch.Tensor) -> torch.Tensor | None:
        read = getattr(self._now, "read", None)
        if read is None:
            return None
        whole = made.new_zeros(self._now.shape)
        whole[read[0], read[1]] = made
        return whole

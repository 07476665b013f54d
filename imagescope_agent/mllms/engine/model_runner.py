"""Model runner: one forward of the language model over given tokens, positions and attention mask."""

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
    """Runs the language model of a checkpoint; image tokens are replaced by features before its first layer.

    Args:
        checkpoint: whose model.
        axes: of its positions.
        image_token: id of the tokens to replace.

    Attributes:
        forwards: number of forwards so far.
        tokens: of these forwards, padding included.
    """

    def __init__(self, checkpoint: Checkpoint, *, axes: int, image_token: int) -> None:
        self.device = checkpoint.device
        self.axes = axes
        self.pad = checkpoint.tokenizer.pad_token_id or 0
        self.image_token = image_token
        self._config = checkpoint.model.config.get_text_config()
        self._embed = checkpoint.model.get_input_embeddings()
        self._layers = checkpoint.language_model
        self._head = checkpoint.model.get_output_embeddings()
        self._last_mlp = _LastLayerMLP(self._layers.layers[-1])
        self.forwards = 0
        self.tokens = 0

    def new_cache(self) -> Any:
        """An empty KV cache."""
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
        """Last hidden states of the selected tokens, (n, width).

        Args:
            ids: (batch, length).
            positions: (axes, batch, length).
            mask: (batch, 1, length, seen) bool, True where a token attends; no row may be all False.
            features: of the images in the order of their tokens, row by row.
            cache: KV cache of earlier tokens; grows.
            read: (2, n), row and index of each selected token.
        """
        embeds, options = self._embed_inputs(ids, features)
        # converted to floats once: with a bool mask every layer would do it again
        bias = torch.zeros(mask.shape, dtype=embeds.dtype, device=self.device).masked_fill_(~mask, -torch.inf)
        self.forwards += 1
        self.tokens += ids.numel()
        with self._last_mlp.only(read):
            output = self._layers(
                inputs_embeds=embeds,
                position_ids=positions if self.axes > 1 else positions[0],
                attention_mask=bias,
                past_key_values=cache,
                use_cache=cache is not None,
                **options,
            )
        hidden: torch.Tensor = output.last_hidden_state[read[0], read[1]]
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits of the next token, (n, vocabulary), float32."""
        logits: torch.Tensor = self._head(hidden)
        return logits.float()

    def label_logits(self, hidden: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """Logits of the given next tokens only, (n, labels), float32."""
        if len(labels) == len(self._head.weight):  # all of them: a copy of the matrix would be for nothing
            return self.logits(hidden)
        chosen = list(labels)
        bias = None if self._head.bias is None else self._head.bias[chosen]
        return torch.nn.functional.linear(hidden, self._head.weight[chosen], bias).float()

    def _embed_inputs(
        self, ids: torch.Tensor, features: Sequence[EncoderOutput]
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """Input embeddings, (batch, length, width), and the options for deepstack features."""
        embeds = self._embed(ids)
        options: dict[str, Any] = {}
        if features:
            image_mask = ids == self.image_token
            embeds = embeds.masked_scatter(
                image_mask[..., None], torch.cat([each.embeds for each in features]).to(embeds)
            )
            if layers := range(len(features[0].deepstack)):
                options["visual_pos_masks"] = image_mask
                options["deepstack_visual_embeds"] = [
                    torch.cat([each.deepstack[layer] for each in features]) for layer in layers
                ]
        return embeds, options


class _LastLayerMLP:
    """Runs the last layer's MLP only at the selected tokens: nothing depends on the others."""

    def __init__(self, layer: Any) -> None:
        # engines of one checkpoint share its layers and run in threads of their own
        self._current = threading.local()
        mlp: Any = getattr(layer, "mlp", None)
        if type(mlp).__name__.endswith("MLP"):  # mixtures of experts run at all tokens
            mlp.register_forward_pre_hook(self._select)
            mlp.register_forward_hook(self._scatter)

    @contextmanager
    def only(self, read: torch.Tensor) -> Iterator[None]:
        """Restrict the forwards of this thread to the tokens (2, n) meanwhile."""
        self._current.read = read
        try:
            yield
        finally:
            self._current.read = None

    def _select(self, _: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
        read = getattr(self._current, "read", None)
        if read is None:
            return None
        self._current.shape = args[0].shape
        return (args[0][read[0], read[1]],)

    def _scatter(self, _: Any, __: Any, output: torch.Tensor) -> torch.Tensor | None:
        read = getattr(self._current, "read", None)
        if read is None:
            return None
        full = output.new_zeros(self._current.shape)
        full[read[0], read[1]] = output
        return full

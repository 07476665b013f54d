"""One forward of the language model over token, position and mask arrays made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imagescope_agent.mllms.hosting.checkpoint import Checkpoint
from imagescope_agent.mllms.hosting.vision import Features


class Network:
    """The language model of a Qwen-VL checkpoint, fed with features instead of pixels."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.device = checkpoint.device
        self.config = checkpoint.model.config.get_text_config()
        self.pad = checkpoint.tokenizer.pad_token_id or 0
        self._model = checkpoint.model.model
        self._head = checkpoint.model.lm_head
        self.forwards = 0
        self.tokens = 0

    def tensor(self, array: NDArray[Any]) -> torch.Tensor:
        """The array on the model's device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def hidden(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        mask: torch.Tensor,
        features: Sequence[Features] = (),
        cache: Any = None,
    ) -> torch.Tensor:
        """Last hidden states, (batch, length, width).

        Args:
            ids: (batch, length).
            positions: (3, batch, length).
            mask: (batch, 1, length, seen) bool, True where a token attends; no row may be all False.
            features: of the pictures in the order of their tokens, row by row.
            cache: keys and values seen before; grows.
        """
        encoded: dict[str, Any] = {}
        if features:
            layers = range(len(features[0].deep))
            encoded["image"] = SimpleNamespace(
                pooler_output=[each.embeds for each in features],
                deepstack_features=[[each.deep[layer] for each in features] for layer in layers],
            )
        self.forwards += 1
        self.tokens += ids.numel()
        made = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            mm_encoder_outputs=encoded,
        )
        hidden: torch.Tensor = made.last_hidden_state
        return hidden

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, (n, vocabulary), float32."""
        scores: torch.Tensor = self._head(hidden)
        return scores.float()

    def label_logits(self, hidden: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """Scores of some next tokens only, (n, labels), float32."""
        weight = self._head.weight[list(labels)]
        bias = None if self._head.bias is None else self._head.bias[list(labels)]
        return torch.nn.functional.linear(hidden, weight, bias).float()

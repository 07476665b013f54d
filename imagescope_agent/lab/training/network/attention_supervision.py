"""Attention supervision: a loss on what single attention heads attend to, used in training only.

Finding the patch that a word refers to is learnt very slowly from the answers alone, since all heads start with
near-uniform attention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.models.qwen3_vl.modeling_qwen3_vl import rotate_half

from imagescope_agent.lab.training.data.batch import Tensors

#: Text layer and attention head by name; `packed_row.AttentionTarget` says what each attends to.
SUPERVISED_HEADS = {
    "previous": (0, 0), "label": (1, 0), "noun": (1, -1),
    "grounding": (2, 0), "copy": (2, 1), "duplicate": (2, 2), "edit": (2, -1),
    "count": (3, 0), "caption": (3, -1),
    "copy_next": (4, 0), "relation": (4, -1), "answer": (5, 0), "grade": (6, 0), "rank": (6, 1),
}  # fmt: skip


class AttentionSupervision:
    """The loss of one attention head on its targets.

    The head's attention is computed once more for the target columns only, from the inputs of the layer's last
    forward pass.
    """

    def __init__(self, attention: nn.Module, head: int) -> None:
        self.attention, self.head = attention, head
        self._inputs: tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]] | None = None
        attention.register_forward_pre_hook(self._record, with_kwargs=True)

    def _record(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._inputs = kwargs["hidden_states"], kwargs["position_embeddings"]

    def loss(self, mask: torch.Tensor, targets: Tensors) -> torch.Tensor:
        """Mean over the targets of -log(attention on their keys); mask (b, 1, l, l) as in the forward pass.

        For targets with weights it is the KL divergence of the attention from these weights.
        """
        assert self._inputs is not None, "the model has not run"
        states, (cos, sin) = self._inputs
        attention: Any = self.attention
        rows, columns = targets["row"], targets["column"]
        width = attention.head_dim
        query_head = self.head % attention.config.num_attention_heads
        key_head = query_head // attention.num_key_value_groups
        # only this head's rows of the projections
        query_weight = attention.q_proj.weight[query_head * width :][:width]
        key_weight = attention.k_proj.weight[key_head * width :][:width]
        query = attention.q_norm(functional.linear(states, query_weight))
        key = attention.k_norm(functional.linear(states, key_weight))
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        scores = (query @ key.transpose(1, 2) * attention.scaling)[rows, columns].float()
        scores = scores.masked_fill(~mask[rows, 0, columns], -torch.inf)
        places = targets["index"], targets["key"]
        if "weight" not in targets:
            allowed = torch.full_like(scores, -torch.inf)
            allowed[places] = 0.0
            surprise: torch.Tensor = scores.logsumexp(-1) - (scores + allowed).logsumexp(-1)
            return surprise.mean()
        weights = targets["weight"]
        divergence: torch.Tensor = (weights * (weights.log() - scores.log_softmax(-1)[places])).sum()
        return divergence / len(rows)

"""Tuning an embedder's text tower beside a composer: LoRA (arXiv 2106.09685) through `peft`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from imagescope_agent.errors import MissingExtra
from imagescope_agent.retrieval.embedders.text_tower import DOWN, UP, is_text, own_text
from imagescope_agent.retrieval.embedders.tokens import Tokens
from imagescope_agent.retrieval.protocols import Embedder

#: An attention's last projection: peft computes with its changes something else than the changed weight does.
INNER = "base_layer.out_proj"


class TunedText(nn.Module):
    """Texts read by a copy of the embedder's text tower with trainable low-rank changes.

    Args:
        embedder: an open_clip embedder.
        texts: all that will be read, by number.
        rank: of the changes.

    Raises:
        BadInput: the embedder has no text tower of its own.
        MissingExtra: `peft` is not installed.
    """

    def __init__(self, embedder: Embedder, texts: Sequence[str], rank: int) -> None:
        super().__init__()
        tuned = own_text(embedder)
        _inject(tuned.model, rank)
        self._read = tuned.read_ids
        self.ids = tuned.text_ids(texts)
        layers = _layers(tuned.model)
        self._layers = layers
        trained = {name: value for name, value in tuned.model.named_parameters() if value.requires_grad}
        self.changes = nn.ParameterDict({name.replace(".", "/"): value for name, value in trained.items()})

    def forward(self, rows: torch.Tensor) -> Tokens:
        """The texts of these numbers."""
        read: Tokens = self._read(self.ids[rows])
        return read

    def low_rank(self) -> dict[str, torch.Tensor]:
        """The changes as `text_tower.with_tuned_text` reads them."""
        found = {}
        for name, layer in self._layers.items():
            found[name + DOWN] = layer.lora_A["default"].weight
            found[name + UP] = layer.scaling["default"] * layer.lora_B["default"].weight
        return found


def _inject(model: nn.Module, rank: int) -> None:
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise MissingExtra(
            "tuning a text tower needs an extra: pip install 'imagescope-agent[train]'"
        ) from error
    names = [
        name
        for name, module in model.named_modules()
        if is_text(name) and (isinstance(module, nn.MultiheadAttention) or type(module) is nn.Linear)
    ]
    exactly = "|".join(re.escape(name) for name in names)  # a list would match by ending, the image tower too
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=rank, target_modules=exactly), model)
    for name, value in model.named_parameters():
        if f".{INNER}." in name:
            value.requires_grad_(False)


def _layers(model: nn.Module) -> dict[str, Any]:
    """The layers with changes, by the name that the changed weight has in the plain model."""
    from peft.tuners.lora import LoraLayer

    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer) and not name.endswith(INNER):
            attention = isinstance(layer.get_base_layer(), nn.MultiheadAttention)
            found[f"{name}.{'in_proj_weight' if attention else 'weight'}"] = layer
    return found

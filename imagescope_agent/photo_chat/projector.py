"""From a grid of picture features to tokens of a language model, each a mixture of words of its vocabulary.

A linear map asks each cell of the grid for words, as attention asks keys: the weights of the words are the softmax of
its products with their embeddings, and their mean, so weighed, is what the language model reads. So a picture reads as
words from the beginning, and the map can be taught words of captions before the language model is run at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

GRID = 4  # cells a side
SCALE = 3.0  # of the products, so that weights and biases learn at one rate


@dataclass(frozen=True, kw_only=True)
class ProjectorSize:
    """Sizes of a projector.

    Args:
        features: width of the picture's features.
        width: of the language model's embeddings.
        words: how many words a cell may be.
    """

    features: int
    width: int
    words: int


class Projector(nn.Module):
    """(n, cells, features) -> (n, cells, width).

    Attributes:
        words: (words,) token ids; their embeddings are given with each call, so that they are stored once.
        middle, spread: (features,) mean and deviation by which features are standardised.
    """

    words: torch.Tensor
    middle: torch.Tensor
    spread: torch.Tensor

    def __init__(self, size: ProjectorSize) -> None:
        super().__init__()
        self.ask = nn.Linear(size.features, size.width)
        self.bias = nn.Parameter(torch.zeros(size.words))
        self.rest = nn.Parameter(torch.zeros(size.width))
        self.register_buffer("words", torch.zeros(size.words, dtype=torch.int32))
        self.register_buffer("middle", torch.zeros(size.features))
        self.register_buffer("spread", torch.ones(size.features))

    def logits(self, features: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """How much each row of features speaks for each word, (..., words), as log-odds.

        Args:
            features: (..., features).
            embeddings: (vocabulary, width) of the language model.
        """
        return self._logits(self._ask(features), embeddings)

    def forward(self, features: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """The tokens: the words' embeddings weighed by what was asked, and a share of that itself."""
        asked = self._ask(features)
        weights = self._logits(asked, embeddings).softmax(dim=-1)
        found: torch.Tensor = weights @ embeddings[self.words.long()].to(asked.dtype) + self.rest * asked
        return found

    def _ask(self, features: torch.Tensor) -> torch.Tensor:
        asked: torch.Tensor = self.ask((features.to(self.ask.weight.dtype) - self.middle) / self.spread)
        return asked

    def _logits(self, asked: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        keys = embeddings[self.words.long()].to(asked.dtype)
        # all embeddings have much in common, which tells no word from another
        keys = nn.functional.normalize(keys - keys.mean(0), dim=1)
        found: torch.Tensor = SCALE * (asked @ keys.T) + self.bias
        return found


def open_tower(name: str, tensors: dict[str, Any]) -> nn.Module:
    """A timm image model in evaluation mode; no classifier.

    Args:
        name: of its architecture.
        tensors: its weights.
    """
    import timm

    tower: nn.Module = timm.create_model(name, num_classes=0)
    tower.load_state_dict(tensors)
    return tower.eval().to(memory_format=torch.channels_last)


def grid_features(tower: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, side, side) -> (n, GRID * GRID, features), row by row."""
    maps = tower.forward_features(pixels.contiguous(memory_format=torch.channels_last))  # type: ignore[operator]
    return nn.functional.adaptive_avg_pool2d(maps, GRID).flatten(2).transpose(1, 2)


def single_tokens(tokenizer: Any, words: Sequence[str]) -> dict[str, int]:
    """Those of the words that are one token after a space, with its id."""
    found = {word: tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in words}
    return {word: ids[0] for word, ids in found.items() if len(ids) == 1}

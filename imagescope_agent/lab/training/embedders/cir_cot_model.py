"""A checkpoint with the added token and its projection: growing it, its losses, saving it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save_file
from tokenizers import AddedToken
from torch import nn
from torch.nn import functional

from imagescope_agent.lab.training.embedders.cir_cot_adapters import add_adapters
from imagescope_agent.lab.training.embedders.cir_cot_packed import PACKED, PackedForward
from imagescope_agent.lab.training.network.architecture import untied
from imagescope_agent.mllms.engine.checkpoint import Checkpoint, open_checkpoint
from imagescope_agent.mllms.engine.config import ModelConfig
from imagescope_agent.mllms.engine.embed_token import EMBED_TOKEN, TAGS, EmbedRow, ending, hidden_states
from imagescope_agent.prompting import load_prompt
from imagescope_agent.replies.chains import Chain
from imagescope_agent.retrieval.embedders.cir_cot import PROJECTION, load_projection

LARGEST_SCALE = 100.0  # of the logits, as in CLIP
FIRST_LOG_SCALE = 3.0


class CotModel(nn.Module):
    """A checkpoint that embeds at an added token.

    Args:
        start: a checkpoint in the format of transformers, or a model that was trained here before.
        dimension: of the vectors.
        prompt_set: whose words it is asked in.
        lora: rank of adapters that are trained in place of the weights; 0 for the weights themselves.
        dtype: of the weights.

    Raises:
        BackendUnavailable: the checkpoint cannot be loaded.
        BadInput: the start's projection is damaged, or of another dimension.
    """

    def __init__(
        self, start: str, dimension: int, prompt_set: str | None, *, lora: int = 0, dtype: Any = "float32"
    ) -> None:
        super().__init__()
        self.checkpoint = open_checkpoint(ModelConfig(checkpoint=start, dtype=dtype))
        added = _grow(self.checkpoint)
        self.language: nn.Module = self.checkpoint.model
        width = int(self.language.config.get_text_config().hidden_size)
        self.projection = nn.Linear(width, dimension, bias=False).to(self.checkpoint.device)
        nn.init.orthogonal_(self.projection.weight)
        if (self.checkpoint.folder / PROJECTION).exists():  # a finished model is trained further
            known = load_projection(self.checkpoint.folder, self.checkpoint.model, dimension)
            self.projection.weight.data.copy_(known)
        self.log_scale = nn.Parameter(torch.tensor(FIRST_LOG_SCALE, device=self.checkpoint.device))
        self.prompt = load_prompt("reason", prompt_set=prompt_set)
        self._packed = PackedForward(self.checkpoint) if self.checkpoint.model_type in PACKED else None
        self._adapters: list[Any] = []  # in a list: no module of its own beside the language model
        for name, weight in self.language.named_parameters():
            weight.requires_grad_("visual" not in name and "vision" not in name)
        if lora:
            self._adapters.append(add_adapters(self.checkpoint, lora, added))

    def row(self, picture: Image.Image | None, text: str, chain: Chain | None = None) -> EmbedRow:
        """A query."""
        return EmbedRow(image=picture, text=self.prompt.fill(instruction=text), chain=str(chain or ""))

    def forward(self, rows: Sequence[EmbedRow]) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors (n, d) of pictures and queries, and the cross-entropies (t,) of all tokens of the chains."""
        if self._packed is not None:
            states, before, token = self._packed(rows)
            return self._unit(states), self._losses(before, token)
        order: list[int] = []
        parts = []
        for pictured in (True, False):  # processors want as many pictures in every row
            places = [place for place, row in enumerate(rows) if (row.image is not None) is pictured]
            order += places
            parts += [self._vectors([rows[place] for place in places])] if places else []
        vectors = torch.cat([found for found, _ in parts])[torch.argsort(torch.tensor(order))]
        return vectors, torch.cat([loss for _, loss in parts])

    def _unit(self, states: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.projection(states.to(self.projection.weight.dtype)).float(), dim=-1)

    def _losses(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        head: Any = self.checkpoint.model.get_output_embeddings()
        return functional.cross_entropy(head(states).float(), tokens, reduction="none")

    def _vectors(self, rows: Sequence[EmbedRow]) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (n, d), and the cross-entropies of all tokens of the chains."""
        states, ids = hidden_states(self.checkpoint, rows)
        vectors = self._unit(states[:, -1])
        lengths = [self._length(row.chain) if row.chain else 0 for row in rows]
        learnt = [(number, -1 - back) for number, count in enumerate(lengths) for back in range(count)]
        if not learnt:
            return vectors, vectors.new_zeros((0,))
        row, column = torch.tensor(learnt, device=ids.device).unbind(-1)
        return vectors, self._losses(states[row, column - 1], ids[row, column])

    def _length(self, chain: str) -> int:
        """Tokens of a chain with the added token at its end; it begins with a token of its own."""
        return len(
            self.checkpoint.tokenizer(ending(self.checkpoint, chain), add_special_tokens=False).input_ids
        )

    @property
    def scale(self) -> torch.Tensor:
        """Of the logits."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the checkpoint, its processor and the projection; adapters become part of the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        for each in self._adapters:
            each.merge_and_unload()
        self._adapters.clear()
        model: Any = self.checkpoint.model
        embed, stops = self.checkpoint.tokenizer.convert_tokens_to_ids(EMBED_TOKEN), self.checkpoint.stop_ids
        model.generation_config.eos_token_id = sorted({*stops, embed})
        model.save_pretrained(folder, state_dict=untied(model, dtype))
        self.checkpoint.processor.save_pretrained(folder)
        save_file(
            {"weight": self.projection.weight.detach().to(dtype).cpu().contiguous()}, folder / PROJECTION
        )
        for file in folder.glob("*.safetensors"):
            file.chmod(0o644)  # readable by every user of an installed package


def _grow(checkpoint: Checkpoint) -> list[int]:
    """Add the tokens that a model lacks; each begins as the mean of the pieces it replaces. Returns all their ids."""
    tokenizer = checkpoint.tokenizer
    new = [piece for piece in (*TAGS, EMBED_TOKEN) if piece not in tokenizer.get_vocab()]
    before = [tokenizer(piece, add_special_tokens=False).input_ids for piece in new]
    tokenizer.add_tokens(
        [AddedToken(piece, normalized=False, special=piece == EMBED_TOKEN) for piece in new],
    )
    checkpoint.__dict__.pop("control_tokens", None)
    if len(tokenizer) > checkpoint.vocabulary:
        checkpoint.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        for table in {
            checkpoint.model.get_input_embeddings().weight,
            checkpoint.model.get_output_embeddings().weight,
        }:
            for piece, pieces in zip(new, before, strict=True):
                table[tokenizer.convert_tokens_to_ids(piece)] = table[pieces].mean(0)
    return [tokenizer.convert_tokens_to_ids(piece) for piece in (*TAGS, EMBED_TOKEN)]


def info_nce(
    scale: torch.Tensor,
    queries: torch.Tensor,
    gallery: torch.Tensor,
    target: torch.Tensor,
    usable: torch.Tensor,
) -> torch.Tensor:
    """The mean of -log P(target) among the images that count for a query.

    Args:
        scale: of the logits.
        queries: (n, d).
        gallery: (m, d).
        target: (n,) rows of the gallery.
        usable: (n, m) whether an image is the target or a negative.
    """
    logits = scale * queries @ gallery.T
    return functional.cross_entropy(logits.masked_fill(~usable, float("-inf")), target)

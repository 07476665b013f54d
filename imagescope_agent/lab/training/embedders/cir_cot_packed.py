"""One forward pass for every vector of a step: rows share their beginnings, and a picture is encoded once.

A tree is a prompt with the added token as one branch and a chain with it as another; branches do not see each other,
so that the states are those of rows passed one by one. Several trees stand in one row of the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image

from imagescope_agent.mllms.engine.cache.encoder_cache import EncoderCache, EncoderOutput
from imagescope_agent.mllms.engine.checkpoint import Checkpoint
from imagescope_agent.mllms.engine.conversation import Conversation, ImageInput, pad_to_aspect_limit
from imagescope_agent.mllms.engine.embed_token import EmbedRow, embed_token_id, ending
from imagescope_agent.mllms.engine.families.base import Prompt
from imagescope_agent.mllms.engine.families.qwen_vl import QwenVL

CACHE = 2**30  # bytes of encoded pictures
PACKED = ("qwen3_vl",)  # model types whose positions and masks are known here
SHORTEST = 160  # tokens of a row that several trees share


@dataclass(frozen=True)
class _Picture(ImageInput):
    """A picture that is decoded already."""

    image: Image.Image = field(repr=False, compare=False, default_factory=Image.Image)

    def pixels(self) -> Image.Image:
        return pad_to_aspect_limit(self.image)


@dataclass(kw_only=True)
class _Tree:
    """A prompt and its branches.

    Attributes:
        prompt: token ids and positions.
        branches: token ids of each, the added token last, and the rows that ask for it.
    """

    prompt: Prompt
    branches: dict[tuple[int, ...], list[int]] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return len(self.prompt.ids) + sum(len(each) for each in self.branches)


@dataclass(kw_only=True)
class _Packed:
    """Rows of trees: token ids, positions and what each token sees, as plain lists before they become tensors.

    Attributes:
        ids: of each row.
        positions: of each row, (time, height, width) each.
        family: of each row: the tree and branch of a token; branch 0 is the prompt.
        ends: (asking row, row, column) of the added tokens.
        learnt: (row, column of the state, token that it should predict).
        images: of each row, keys of the encoded pictures in order.
    """

    ids: list[list[int]] = field(default_factory=list)
    positions: list[list[tuple[int, ...]]] = field(default_factory=list)
    family: list[list[tuple[int, int]]] = field(default_factory=list)
    ends: list[tuple[int, int, int]] = field(default_factory=list)
    learnt: list[tuple[int, int, int]] = field(default_factory=list)
    images: list[list[str]] = field(default_factory=list)

    def add(self, row: int, number: int, tree: _Tree) -> None:
        """Append a tree to a row."""
        ids, positions, family = self.ids[row], self.positions[row], self.family[row]
        ids += tree.prompt.ids.tolist()
        positions += [tuple(each) for each in tree.prompt.positions.T.tolist()]
        family += [(number, 0)] * len(tree.prompt.ids)
        self.images[row] += tree.prompt.image_keys
        last, start = len(ids) - 1, tree.prompt.next_position
        for branch, (tokens, asking) in enumerate(tree.branches.items(), start=1):
            first = len(ids)
            ids += tokens
            positions += [(start + offset,) * 3 for offset in range(len(tokens))]
            family += [(number, branch)] * len(tokens)
            self.ends += [(each, row, len(ids) - 1) for each in asking]
            if len(tokens) > 1:  # the added token alone is no chain
                columns = [last, *range(first, len(ids) - 1)]
                self.learnt += [(row, column, token) for column, token in zip(columns, tokens, strict=True)]


class PackedForward:
    """States of the added tokens of many rows, and the losses of their chains.

    Args:
        checkpoint: of a model type in `PACKED`, whose vision tower is not trained.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._vision = QwenVL(checkpoint, EncoderCache(CACHE), batch_tokens=4096)
        self._embed = embed_token_id(checkpoint)

    def __call__(self, rows: Sequence[EmbedRow]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rows -> states (n, width) of the added tokens; states (t, width) and the tokens (t,) they should predict."""
        with torch.no_grad():
            packed, features = self._pack(rows)
        states = self._states(packed, features)
        row, column = (torch.tensor(each, device=states.device) for each in self._ends(packed))
        vectors = states[row, column]
        if not packed.learnt:
            return vectors, vectors[:0], row[:0]
        row, column, token = torch.tensor(packed.learnt, device=states.device).unbind(-1)
        return vectors, states[row, column], token

    @staticmethod
    def _ends(packed: _Packed) -> tuple[list[int], list[int]]:
        ends = sorted(packed.ends)
        return [row for _, row, _ in ends], [column for _, _, column in ends]

    def _pack(self, rows: Sequence[EmbedRow]) -> tuple[_Packed, dict[str, EncoderOutput]]:
        trees: dict[Conversation, _Tree] = {}
        features: dict[str, EncoderOutput] = {}
        for number, row in enumerate(rows):
            conversation = _conversation(row)
            if conversation not in trees:
                # one by one: what a picture is encoded with must not change its last digits when a training goes on
                prepared = self._vision.prepare([conversation])
                features.update(prepared.features)
                trees[conversation] = _Tree(prompt=prepared.require_prompts()[0])
            trees[conversation].branches.setdefault(self._branch(row.chain), []).append(number)
        return _fill(list(trees.values())), features

    def _branch(self, chain: str) -> tuple[int, ...]:
        text = ending(self._checkpoint, chain)
        return tuple(self._checkpoint.tokenizer(text, add_special_tokens=False).input_ids)

    def _states(self, packed: _Packed, features: dict[str, EncoderOutput]) -> torch.Tensor:
        device, model = self._checkpoint.device, self._checkpoint.model.model
        length = max(len(each) for each in packed.ids)
        ids = torch.full((len(packed.ids), length), self._embed)
        positions = torch.zeros((3, *ids.shape), dtype=torch.long)
        family = torch.full((*ids.shape, 2), -1)
        for row, (tokens, places, kin) in enumerate(
            zip(packed.ids, packed.positions, packed.family, strict=True)
        ):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            positions[:, row, : len(tokens)] = torch.tensor(places).T
            family[row, : len(tokens)] = torch.tensor(kin)
        ids = ids.to(device)
        inputs = model.get_input_embeddings()(ids)
        shown = ids == self._vision.image_token
        deepstack: list[torch.Tensor] = []
        if any(packed.images):
            outputs = [features[key] for row in packed.images for key in row]
            inputs = inputs.masked_scatter(
                shown[..., None], torch.cat([each.embeds for each in outputs]).to(inputs.dtype)
            )
            deepstack = [
                torch.cat(layer) for layer in zip(*(each.deepstack for each in outputs), strict=True)
            ]
        states: torch.Tensor = model.language_model(
            inputs_embeds=inputs,
            attention_mask=_seen(family).to(device),
            position_ids=positions.to(device),
            use_cache=False,
            **({"visual_pos_masks": shown, "deepstack_visual_embeds": deepstack} if deepstack else {}),
        ).last_hidden_state
        return states


def _fill(trees: Sequence[_Tree]) -> _Packed:
    """Trees into rows of nearly equal length, the longest first."""
    most = max(SHORTEST, max(tree.length for tree in trees))
    packed, room = _Packed(), list[int]()
    for number, tree in enumerate(sorted(trees, key=lambda each: -each.length)):
        row = next((place for place, left in enumerate(room) if left >= tree.length), len(room))
        if row == len(room):
            room.append(most)
            packed.ids.append([])
            packed.positions.append([])
            packed.family.append([])
            packed.images.append([])
        room[row] -= tree.length
        packed.add(row, number, tree)
    return packed


def _conversation(row: EmbedRow) -> Conversation:
    """A row's one user turn, as `embed_token.row_inputs` writes it."""
    shown = () if row.image is None else (None,)
    key = "" if row.image is None else hashlib.sha256(row.image.tobytes()).hexdigest()
    pictures = () if row.image is None else (_Picture(key, "", row.image),)
    return Conversation((("user", (*shown, *((row.text,) if row.text else ()))),), pictures)


def _seen(family: torch.Tensor) -> torch.Tensor:
    """What each token sees (b, 1, l, l): its tree's prompt and its own branch, from the left; padding sees itself."""
    tree, branch = family.unbind(-1)
    alike = (tree[:, :, None] == tree[:, None, :]) & (tree[:, None, :] >= 0)
    related = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    length = tree.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    return ((alike & related & before) | torch.eye(length, dtype=torch.bool))[:, None]

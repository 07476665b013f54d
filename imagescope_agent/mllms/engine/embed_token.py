"""Vectors of a model that reasons, then embeds (CIR-CoT, arXiv 2510.08003): the hidden state at an added token.

A row is a chat's one user turn (a picture, a text, or both) and the beginning of the answer: a chain of thought, or
nothing; then comes the added token. Its last hidden state, projected and at unit length, is the vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from imagescope_agent.errors import RequestRefused
from imagescope_agent.mllms.engine.chat_template import escape_control_tokens
from imagescope_agent.mllms.engine.checkpoint import Checkpoint, to_device
from imagescope_agent.mllms.engine.conversation import pad_to_aspect_limit, refuse_on_error

EMBED_TOKEN = "<|embed|>"
#: What a chain is made of, in the order it is written; single tokens of the trained model.
TAGS = ("<caption>", "<steps>", "<conclusion>")


@dataclass(frozen=True, kw_only=True)
class EmbedRow:
    """What one vector is made of.

    Args:
        image: RGB, shown first.
        text: of the user, after the image.
        chain: what the model wrote before it embeds; empty for none.
    """

    image: Image.Image | None = None
    text: str = ""
    chain: str = ""


def row_inputs(checkpoint: Checkpoint, rows: Sequence[EmbedRow]) -> dict[str, torch.Tensor]:
    """The model's inputs, left-padded, so that the added token is every row's last one.

    All rows have a picture, or none has one: processors want as many in every row.

    Raises:
        RequestRefused: the model's processor does not take them, or one is longer than the model reads.
    """
    special = [each for each in checkpoint.control_tokens if each != EMBED_TOKEN]
    texts, images = [], []
    for row in rows:
        shown: list[dict[str, Any]] = [{"type": "image"}] if row.image is not None else []
        said = [{"type": "text", "text": escape_control_tokens(row.text, [*special, EMBED_TOKEN])}]
        chat = [{"role": "user", "content": [*shown, *(said if row.text else [])]}]
        prompt = checkpoint.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        texts.append(prompt + ending(checkpoint, row.chain))
        images += [] if row.image is None else [[pad_to_aspect_limit(row.image)]]
    with refuse_on_error(
        f"the processor of {checkpoint.config.checkpoint!r} does not take these pictures and texts",
        advice="embed others, or with another model",
    ):
        inputs = checkpoint.processor(
            text=texts,
            **({"images": images} if images else {}),
            return_tensors="pt",
            padding=True,
            padding_side="left",
        )
    checkpoint.check_length(inputs["input_ids"].shape[1])
    if not bool((inputs["input_ids"][:, -1] == embed_token_id(checkpoint)).all()):
        raise RequestRefused("the processor cuts off what it is given; embed shorter texts")
    return to_device(checkpoint, inputs)


def ending(checkpoint: Checkpoint, chain: str) -> str:
    """What the model writes of a row: the chain, which cannot place control tokens itself, and the added token."""
    special = [each for each in checkpoint.control_tokens if each != EMBED_TOKEN]
    return escape_control_tokens(chain, [*special, EMBED_TOKEN]) + EMBED_TOKEN


def embed_token_id(checkpoint: Checkpoint) -> int:
    """The added token; unknown to a model that was not trained to embed, then the tokenizer's unknown token or -1."""
    found = checkpoint.tokenizer.get_vocab().get(EMBED_TOKEN)
    return -1 if found is None else int(found)


def hidden_states(checkpoint: Checkpoint, rows: Sequence[EmbedRow]) -> tuple[torch.Tensor, torch.Tensor]:
    """Last hidden states (n, l, width) of rows, and their tokens (n, l); see `row_inputs`."""
    inputs = row_inputs(checkpoint, rows)
    states: torch.Tensor = checkpoint.model.model(**inputs, use_cache=False).last_hidden_state
    return states, inputs["input_ids"]

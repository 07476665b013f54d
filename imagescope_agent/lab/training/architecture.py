"""The two mini models: a chat model in Qwen3-VL format and its sizes. Plain configuration, no training here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from imagescope_agent.lab.training.pool import SIDE

PATCH = 16
MERGE = 2
GRID = SIDE // PATCH  # patches along a side
LAYERS = 7  # of text: one gathers what was found of a picture, one more chooses among pictures
IMAGE_TOKENS = (GRID // MERGE) ** 2  # what one picture costs the language model

#: Text and pictures of one turn; images come first so that every question about a picture shares one prefix.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def vision_config() -> Qwen3VLVisionConfig:
    """Sizes of the vision tower: 4 layers of width 192 over 64 patches."""
    return Qwen3VLVisionConfig(
        depth=4,
        hidden_size=192,
        intermediate_size=576,
        num_heads=6,
        out_hidden_size=192,
        patch_size=PATCH,
        spatial_merge_size=MERGE,
        temporal_patch_size=1,
        num_position_embeddings=GRID * GRID,
        deepstack_visual_indexes=[],
    )


def chat_config(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    """Sizes of the mini chat model: 4 vision layers of width 192, 7 text layers of width 192."""

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(name))  # type: ignore[arg-type]

    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 192,
            "intermediate_size": 576,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,  # sharing keys and values starves a model this narrow
            "head_dim": 32,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
                "rope_theta": 1e4,
            },
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config=vision_config().to_dict(),
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def chat_model(tokenizer: PreTrainedTokenizerFast, seed: int = 0) -> Qwen3VLForConditionalGeneration:
    """A freshly initialised mini chat model, in float32.

    The format's own initialisation (0.02 everywhere) suits widths of thousands. At width 192 every layer starts with
    outputs of its input's size, and attention may be sharp from the start, or nothing is learnt for thousands of steps.
    """
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(chat_config(tokenizer))
    with torch.no_grad():
        for name, weight in model.model.language_model.named_parameters():
            if name.startswith("embed_tokens"):
                weight.normal_(std=0.5)
            elif weight.ndim == 2:
                damped = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(std=(0.4 if damped else 1.0) * weight.shape[1] ** -0.5)
            elif name.endswith(("q_norm.weight", "k_norm.weight")):
                weight.fill_(1.5)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    return model


def grown_chat_model(
    folder: Path, pieces: Sequence[str]
) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """A saved mini chat model in float32 with `LAYERS` layers, and its tokenizer with `pieces` as single tokens.

    A new piece starts as the mean of the tokens that it was written with before, a new layer as one that adds nothing.
    """
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    saved = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    layers = len(saved.model.language_model.layers)
    model = saved if layers == LAYERS else _deepened(saved, tokenizer)
    new = [piece for piece in pieces if piece not in tokenizer.get_vocab()]
    before = [tokenizer(piece, add_special_tokens=False).input_ids for piece in new]
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in new])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        table: torch.Tensor = model.model.language_model.embed_tokens.weight
        for piece, parts in zip(new, before, strict=True):
            table[tokenizer.convert_tokens_to_ids(piece)] = table[parts].mean(0)
    return model, tokenizer


def _deepened(
    saved: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> Qwen3VLForConditionalGeneration:
    """The same model with new last layers whose outputs are still nothing."""
    model = chat_model(tokenizer)
    model.load_state_dict(saved.state_dict(), strict=False)
    with torch.no_grad():
        for layer in model.model.language_model.layers[len(saved.model.language_model.layers) :]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


def chat_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    """The processor saved beside the weights: every picture becomes 128 x 128 pixels, 16 tokens."""
    pixels = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    common: dict[str, Any] = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": 1,
        "size": pixels,
    }
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**common, image_mean=[0.5] * 3, image_std=[0.5] * 3),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(patch_size=PATCH, merge_size=MERGE, temporal_patch_size=1),
        chat_template=CHAT_TEMPLATE,
    )


def patches(pixels: torch.Tensor) -> torch.Tensor:
    """What the processor makes of 128 x 128 pictures, without its per-picture cost.

    Args:
        pixels: (n, 128, 128, 3) uint8.

    Returns:
        (n * 64, 768) float32: patches in merge order, channels first.
    """
    n = pixels.shape[0]
    values = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
    half = GRID // MERGE
    values = values.reshape(n, 3, half, MERGE, PATCH, half, MERGE, PATCH)
    values = values.permute(0, 2, 5, 3, 6, 1, 4, 7)  # n, rows, columns, 2, 2, channel, y, x
    return values.reshape(n * GRID * GRID, -1)


def patch_centres() -> torch.Tensor:
    """Centres of the 64 patches in merge order: (64, 2) x, y in fractions of the side."""
    rows = torch.arange(GRID).float().add(0.5).div(GRID)
    grid = torch.stack(torch.meshgrid(rows, rows, indexing="ij"), dim=-1).flip(-1)  # y-major, (x, y)
    half = GRID // MERGE
    return grid.reshape(half, MERGE, half, MERGE, 2).permute(0, 2, 1, 3, 4).reshape(-1, 2)


def save_chat_model(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a folder that any Hugging Face loader opens: 16-bit safetensors, tokenizer, processor, template."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.float16) for name, value in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=weights)
    chat_processor(tokenizer).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # a package's files are for everyone

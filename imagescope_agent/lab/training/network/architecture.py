"""Architecture of the mini chat model in Qwen3-VL format: sizes, initialisation, growing, saving."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2VLImageProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from imagescope_agent.lab.training.network.image_grid import GRID, IMAGE_SIDE, MERGE, PATCH
from imagescope_agent.lab.training.network.text_only import is_text_only, load_text, text_model
from imagescope_agent.mllms.engine.progress import without_progress_bars

TEXT_LAYERS = 7  # the auxiliary heads and attention supervision refer to them by number

#: Images come first, so that all questions about an image share a prefix.
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
    """The vision tower: 4 layers of width 192 over 64 patches."""
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
    """The chat model: 4 vision layers and 7 text layers of width 192."""

    def token(name: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(name))  # type: ignore[arg-type]

    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 192,
            "intermediate_size": 576,
            "num_hidden_layers": TEXT_LAYERS,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,  # no grouped-query attention: it costs accuracy at this width
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
    """A randomly initialised mini chat model, in float32.

    The format's own initialisation (0.02 everywhere) suits widths of thousands. At width 192 every layer has to start
    with outputs of the scale of its input, and with attention that can be sharp, or the loss stays flat for thousands
    of steps.
    """
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(chat_config(tokenizer))
    with torch.no_grad():
        for name, weight in model.model.language_model.named_parameters():
            if name.startswith("embed_tokens"):
                weight.normal_(std=0.5)
            elif weight.ndim == 2:
                output = name.endswith(("o_proj.weight", "down_proj.weight"))
                weight.normal_(std=(0.4 if output else 1.0) * weight.shape[1] ** -0.5)
            elif name.endswith(("q_norm.weight", "k_norm.weight")):
                weight.fill_(1.5)
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    return model


def grow_chat_model(
    folder: Path, pieces: Sequence[str]
) -> tuple[Qwen3VLForConditionalGeneration, PreTrainedTokenizerFast]:
    """A saved mini chat model in float32, grown to `TEXT_LAYERS` layers, and its tokenizer with `pieces` as tokens.

    The embedding of a new token is the mean of those of the tokens it replaces; a new layer is initialised to the
    identity.
    """
    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    saved = _saved(folder, tokenizer)
    layers = len(saved.model.language_model.layers)
    model = saved if layers == TEXT_LAYERS else _with_more_layers(saved, tokenizer)
    new = [piece for piece in pieces if piece not in tokenizer.get_vocab()]
    before = [tokenizer(piece, add_special_tokens=False).input_ids for piece in new]
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in new])
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        table: torch.Tensor = model.model.language_model.embed_tokens.weight
        for piece, old_tokens in zip(new, before, strict=True):
            table[tokenizer.convert_tokens_to_ids(piece)] = table[old_tokens].mean(0)
    return model, tokenizer


def mean_with(model: Qwen3VLForConditionalGeneration, folder: Path, pieces: Sequence[str]) -> None:
    """Give a chat model the mean of its language model's weights and those of another of the same vocabulary.

    Two that were taught from the same one lie near each other, and their mean keeps much of what each can (model soups,
    arXiv 2203.05482).
    """
    other, _ = grow_chat_model(folder, pieces)
    weights = other.model.language_model.state_dict()
    mine = model.model.language_model
    mine.load_state_dict({name: (value + weights[name]) / 2 for name, value in mine.state_dict().items()})


def _saved(folder: Path, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLForConditionalGeneration:
    """A saved model in float32; a text-only one gets a vision tower that knows nothing."""
    if is_text_only(folder):
        model = chat_model(tokenizer)
        load_text(model, folder)
        return model
    with without_progress_bars():
        return Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)


def _with_more_layers(
    saved: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast
) -> Qwen3VLForConditionalGeneration:
    """The same model with new last layers whose output projections are zero."""
    model = chat_model(tokenizer)
    model.load_state_dict(saved.state_dict(), strict=False)
    with torch.no_grad():
        for layer in model.model.language_model.layers[len(saved.model.language_model.layers) :]:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


def chat_processor(tokenizer: PreTrainedTokenizerFast) -> Qwen3VLProcessor:
    """The processor saved with the weights: every image becomes 128 x 128 pixels, 16 tokens."""
    pixels = {"shortest_edge": IMAGE_SIDE * IMAGE_SIDE, "longest_edge": IMAGE_SIDE * IMAGE_SIDE}
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


def save_chat_model(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """Write a Hugging Face checkpoint: float16 safetensors, tokenizer, processor, chat template."""
    save_half(model, folder)
    chat_processor(tokenizer).save_pretrained(folder)


def save_text_model(
    model: Qwen3VLForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, folder: Path
) -> None:
    """As `save_chat_model`, without the vision tower."""
    save_half(text_model(model), folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)


def save_half(model: PreTrainedModel, folder: Path) -> None:
    """Write weights and configuration: float16 safetensors, a tied output head not once more."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, state_dict=untied(model, torch.float16))
    (folder / "model.safetensors").chmod(0o644)  # readable by every user of an installed package


def untied(model: PreTrainedModel, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """The weights in a dtype, without an output head that is the embedding: copies would both be written."""
    head: Any = model.get_output_embeddings()
    embedding: Any = model.get_input_embeddings()
    tied = head is not None and head.weight is embedding.weight
    return {
        name: value.to(dtype)
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
